"""From one spec, every backend runs the same thing: command, environment, ports, probes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.compute.contract import Compute, Identity, Role, Scale
from components.compute.local.backend import LocalCompute, LocalComputeArgs
from components.mlflow.topology import BACKENDS, DataPlane, Size, Topology, identity_name
from tests.components.compute.container_apps.specs import COMPUTED
from tests.components.compute.container_apps.specs import compute as container_apps
from tests.support.recorder import Graph, record

ROLES = (*BACKENDS, Role.GATEWAY)
# Where services are called by no name of their own.
OWN_MACHINE = LocalCompute(LocalComputeArgs(root=Path(), command=[], image="", environment={}, identity_headers=Path()))
# What a backend decides: where a replica is, and how long it sends callers away, which depends on who else is there.
PLATFORM = {"PORT", "TMPDIR", "DRAIN_SECONDS"}
TOPOLOGY = Topology(
    sizes=dict.fromkeys(
        ROLES, Size(cpu=0.5, memory_mib=1024, spool_mib=512, scale=Scale(minimum=1, maximum=2, concurrency=9))
    ),
    ports={role: 5000 + number for number, role in enumerate(ROLES)},
    identities={
        role: Identity(name=identity_name(role), client_id=f"{role}-client", principal_id=f"{role}-object")
        for role in Role
    },
    data=DataPlane(
        database_host="db.example:5432",
        sslmode="verify-full",
        blob_container_url="https://account.blob.core.windows.net/mlflow",
        key_vault_url="https://vault.example/",
    ),
    public_hosts=["mlflow.example"],
)


class Parent(pulumi.ComponentResource):
    def __init__(self) -> None:
        super().__init__("test:test:Parent", "parent")


def local(folder: Path) -> LocalCompute:
    return LocalCompute(
        LocalComputeArgs(
            root=folder,
            command=["mlflow-runtime"],
            image="sha256:0",
            environment={},
            identity_headers=folder,
        )
    )


def registered(backend: Compute, role: Role) -> Graph:
    def program() -> None:
        parent = Parent()
        if role is Role.PREPARE:
            backend.run_job(TOPOLOGY.prepare(), parent=parent)
        else:
            # The spec names where services are, which differs by backend: all get one backend's.
            spec = TOPOLOGY.gateway(container_apps()) if role is Role.GATEWAY else TOPOLOGY.service(role, OWN_MACHINE)
            backend.run_service(spec, parent=parent)

    return record(program, preview=False, computed=COMPUTED)


def rendered(backend: Compute, role: Role) -> dict[str, Any]:
    graph = registered(backend, role)
    return graph.inputs("prepare-job" if "prepare-job" in graph.names else role.value)


def container(role: Role) -> dict[str, Any]:
    found: dict[str, Any] = rendered(container_apps(), role)["template"]["containers"][0]
    return found


def environment(of: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in of["env"]}


@pytest.mark.parametrize("role", [*BACKENDS, Role.PREPARE])
def test_command_and_environment(role: Role, tmp_path: Path) -> None:
    process, app = rendered(local(tmp_path), role), container(role)
    assert app["command"] + app["args"] == process["command"] == ["mlflow-runtime", role.value]
    own = {name: value for name, value in environment(app).items() if name not in PLATFORM}
    assert own == {name: value for name, value in process["env"].items() if name not in PLATFORM}


@pytest.mark.parametrize("role", BACKENDS)
def test_port_probes_and_patience(role: Role, tmp_path: Path) -> None:
    process, app = rendered(local(tmp_path), role), rendered(container_apps(), role)
    inside = app["template"]["containers"][0]
    startup, live, ready = inside["probes"]
    port = TOPOLOGY.ports[role]
    assert process["ports"] == [port]
    assert environment(inside)["PORT"] == str(port)
    assert {probe["httpGet"]["port"] for probe in inside["probes"]} == {port}
    assert app["configuration"]["ingress"]["targetPort"] == port
    assert (live["httpGet"]["path"], ready["httpGet"]["path"]) == (process["live"], process["ready"])
    assert (live["periodSeconds"], live["timeoutSeconds"], live["failureThreshold"]) == (
        process["live_period"],
        process["live_timeout"],
        process["live_failures"],
    )
    assert startup["periodSeconds"] * startup["failureThreshold"] == process["start_seconds"]
    assert app["template"]["terminationGracePeriodSeconds"] == process["stop_seconds"]


@pytest.mark.parametrize("role", BACKENDS)
def test_readiness_is_waited_for_as_long_everywhere(role: Role, tmp_path: Path) -> None:
    ready = registered(container_apps(), role).inputs(f"{role}-ready")
    assert ready["startSeconds"] == rendered(local(tmp_path), role)["start_seconds"] > 0


def test_a_gateway_takes_its_upstreams_from_the_backend() -> None:
    app = container(Role.GATEWAY)
    assert app["command"] + app["args"] == ["mlflow-runtime", "gateway"]
    assert environment(app)["UPSTREAM_TLS"] == "true"
    assert environment(app)["TRACKING_UPSTREAMS"].endswith(".internal.red.westeurope.azurecontainerapps.io:443")
