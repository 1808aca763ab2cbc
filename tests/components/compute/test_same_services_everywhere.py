"""From one spec, every backend runs the same thing: command, environment, ports, probes."""

from __future__ import annotations

import ast
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.compute.aks.backend import AksCompute, AksComputeArgs
from components.compute.aks.namespace import namespace_objects
from components.compute.aks.rendering import job_objects, service_objects
from components.compute.contract import Compute, JobSpec, Scale, ServiceSpec, Upstream, WorkloadIdentity
from components.compute.local.backend import LocalCompute, LocalComputeArgs
from components.compute.local.jobs import Job
from components.mlflow.roles import BACKENDS, Role
from components.mlflow.topology import DataAddresses, Size, Topology, identity_name
from tests.components.compute.aks.places import place
from tests.components.compute.container_apps.specs import COMPUTED
from tests.components.compute.container_apps.specs import compute as container_apps
from tests.support.recorder import Graph, record

REPOSITORY = Path(__file__).parents[3]
ROLES = (*BACKENDS, Role.GATEWAY)
# Where services are called by no name of their own.
OWN_MACHINE = LocalCompute(LocalComputeArgs(root=Path(), command=[], image="", environment={}, identity_headers=Path()))
SPOOL = "MLFLOW_RUNTIME_SPOOL_MIB"
# What a backend decides: where a replica is, how long it sends callers away, which depends on who else is there, and
# how many processors it takes where nothing holds it.
PLATFORM = {"PORT", "TMPDIR", "MLFLOW_RUNTIME_DRAIN_SECONDS", "GOMAXPROCS"}
TOPOLOGY = Topology(
    sizes=dict.fromkeys(
        ROLES, Size(cpu=0.5, memory_mib=1024, spool_mib=512, scale=Scale(minimum=1, maximum=2, concurrency=9))
    ),
    ports={role: 5000 + number for number, role in enumerate(ROLES)},
    identities={
        role: WorkloadIdentity(name=identity_name(role), client_id=f"{role}-client", principal_id=f"{role}-object")
        for role in Role
    },
    data=DataAddresses(
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


def local(folder: Path, *, contained: bool = False) -> LocalCompute:
    return LocalCompute(
        LocalComputeArgs(
            root=folder,
            command=["mlflow-runtime"],
            image="sha256:0",
            environment={},
            identity_headers=folder,
            contained=contained,
        )
    )


def registered(backend: Compute, role: Role) -> Graph:
    def program() -> None:
        parent = Parent()
        if role is Role.PREPARE:
            backend.run_job(TOPOLOGY.prepare(), parent=parent)
        else:
            # The spec names where services are, which differs by backend: only of the gateway it is the backend's own.
            spec = TOPOLOGY.gateway(backend) if role is Role.GATEWAY else TOPOLOGY.service(role, OWN_MACHINE)
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


def own(given: dict[str, str], platform: Collection[str] = PLATFORM) -> dict[str, str]:
    """The variables that no backend decides. Where a gateway finds the services it does."""
    return {name: value for name, value in given.items() if name not in platform and "_UPSTREAM" not in name}


@pytest.mark.parametrize("role", Role)
def test_command_and_environment(role: Role, tmp_path: Path) -> None:
    process, app = rendered(local(tmp_path), role), container(role)
    assert app["command"] + app["args"] == process["command"] == ["mlflow-runtime", role.value]
    assert own(environment(app)) == own(process["env"]) != {}


@pytest.mark.parametrize("role", ROLES)
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
    assert environment(app)["MLFLOW_RUNTIME_UPSTREAM_TLS"] == "true"
    # Calls through the ingress count for scaling: a check would keep a service from scaling to zero.
    assert environment(app)["MLFLOW_RUNTIME_UPSTREAM_CHECKS"] == "false"
    assert environment(app)["MLFLOW_RUNTIME_TRACKING_UPSTREAMS"].endswith(
        ".internal.red.westeurope.azurecontainerapps.io:443"
    )


def service(role: Role) -> ServiceSpec:
    """A service as the addresses of one machine make it."""
    return TOPOLOGY.gateway(OWN_MACHINE) if role is Role.GATEWAY else TOPOLOGY.service(role, OWN_MACHINE)


def pod(role: Role) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a Deployment or Job runs for a role: the pod and its one container."""
    if role is Role.PREPARE:
        objects = job_objects(TOPOLOGY.prepare(), place())
    else:
        objects = service_objects(service(role), place())
    spec = objects["run" if role is Role.PREPARE else "pods"]["spec"]["template"]["spec"]
    (only,) = spec["containers"]
    return spec, only


# How a pod comes to a token: Azure's other platforms give an endpoint that the identity's client knows by itself.
TOKEN = {"AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE"}


@pytest.mark.parametrize("role", Role)
def test_a_pod_runs_what_a_container_app_runs(role: Role) -> None:
    (spec, inside), app = pod(role), container(role)
    assert (inside["command"], inside["args"], inside["image"]) == (app["command"], app["args"], app["image"])
    assert own(environment(inside), PLATFORM | TOKEN) == own(environment(app)) != {}
    # A gateway without a certificate of its own signs in nowhere.
    signs_in = None if role is Role.GATEWAY else f"{role}-client"
    assert environment(inside).get("AZURE_CLIENT_ID") == signs_in
    assert spec["serviceAccountName"] == role.value
    limits = inside["resources"]["limits"]
    assert (limits["cpu"], limits["memory"]) == ("500m", app["resources"]["memory"])


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_is_asked_and_ended_as_a_container_app_is(role: Role) -> None:
    (spec, inside), app = pod(role), rendered(container_apps(), role)["template"]
    port = TOPOLOGY.ports[role]
    assert [each["containerPort"] for each in inside["ports"]] == [port]
    assert environment(inside)["PORT"] == environment(app["containers"][0])["PORT"] == str(port)
    drain = "MLFLOW_RUNTIME_DRAIN_SECONDS"
    assert environment(inside)[drain] == environment(app["containers"][0])[drain]
    for name, theirs in zip(("startup", "liveness", "readiness"), app["containers"][0]["probes"], strict=True):
        ours = inside[f"{name}Probe"]
        assert ours["httpGet"]["path"] == theirs["httpGet"]["path"]
        # Container Apps counts to ten at most, and so asks less often where more failures are borne with.
        patience = [each["periodSeconds"] * each["failureThreshold"] for each in (ours, theirs)]
        assert patience[0] == patience[1]
        assert ours["timeoutSeconds"] == theirs["timeoutSeconds"]
    # A gateway serves on before it gets the signal, where its balancer has to notice.
    serves_on = inside.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert spec["terminationGracePeriodSeconds"] == app["terminationGracePeriodSeconds"] + serves_on


@pytest.mark.parametrize("role", [*BACKENDS, Role.GATEWAY, Role.PREPARE])
def test_identity_and_limits_are_the_spec_s_on_all_three(role: Role, tmp_path: Path) -> None:
    spec = TOPOLOGY.prepare() if role is Role.PREPARE else service(role)
    process, app = rendered(local(tmp_path, contained=True), role), rendered(container_apps(), role)
    pod_spec, inside = pod(role)
    (contained,) = app["template"]["containers"]
    limits = inside["resources"]["limits"]
    assert process["limits"] == {"cpu": spec.cpu, "memory_mib": spec.memory_mib}
    assert contained["resources"] == {"cpu": spec.cpu, "memory": f"{spec.memory_mib / 1024:g}Gi"}
    assert (limits["cpu"], limits["memory"]) == (f"{spec.cpu * 1000:g}m", f"{spec.memory_mib / 1024:g}Gi")
    # Who has the pods' account as a subject, who the apps' identity, and who the file of a process.
    assert pod_spec["serviceAccountName"] == role.value
    (assigned,) = app["identity"]["userAssignedIdentities"]
    assert assigned.endswith(f"/{role}")
    assert process["identity_header"] == str(tmp_path / spec.identity.name)
    if isinstance(spec, ServiceSpec):
        # The service keeps to it by itself; where a volume has a size there is room beside it.
        given = {role: environment(each) for role, each in (("app", contained), ("pod", inside))}
        spools = {each.get(SPOOL) for each in (process["env"], *given.values())}
        assert spools == {spec.env.get(SPOOL)}
        volume = next(each["emptyDir"]["sizeLimit"] for each in pod_spec["volumes"] if each["name"] == "spool")
        assert int(volume.removesuffix("Mi")) > spec.spool_mib
        assert int(limits["ephemeral-storage"].removesuffix("Mi")) > int(volume.removesuffix("Mi"))


class Cluster(pulumi.ProviderResource):
    def __init__(self) -> None:
        super().__init__("kubernetes", "cluster", {})


def test_a_cluster_gets_the_objects_as_they_are_rendered() -> None:
    """And in an order in which none is there before the one that it needs."""
    nightly = replace(TOPOLOGY.prepare(), name="nightly", schedule="30 2 * * *")
    service = TOPOLOGY.service(Role.TRACKING, OWN_MACHINE)

    def program() -> None:
        backend = AksCompute(
            "compute", AksComputeArgs(provider=Cluster(), server="https://k", authority="", place=place())
        )
        parent = Parent()
        backend.run_service(service, parent=parent, depends_on=backend.run_job(nightly, parent=parent).resources)

    graph = record(program, preview=False)
    for start, objects in (
        ("tracking", service_objects(service, place())),
        ("nightly", job_objects(nightly, place())),
        ("compute", namespace_objects(place())),
    ):
        for key, found in objects.items():
            assert graph.inputs(f"{start}-{key}") == found
    assert graph.type("tracking-pods") == "kubernetes:apps/v1:Deployment"
    assert graph.type("compute-namespace") == "kubernetes:core/v1:Namespace"
    assert {
        "tracking-budget",
        "nightly-run",
        "compute-images-binding",
        "compute-addresses-binding",
    } <= graph.dependencies("tracking-pods")
    # The next object, and so the next service, comes after the roll-out.
    assert "tracking-pods" in graph.dependencies("tracking-ready")
    assert "tracking-ready" in graph.dependencies("tracking-address")
    # The scaler chooses between its bounds; nothing else of what is there is ignored.
    ignored = {name: graph.options(name).ignore_changes for name in graph.names}
    assert {name: given for name, given in ignored.items() if given} == {"tracking-pods": ("spec.replicas",)}


def test_a_cluster_leads_to_ready_pods_by_itself() -> None:
    found: list[Upstream] = []

    def program() -> None:
        backend = AksCompute(
            "compute", AksComputeArgs(provider=Cluster(), server="https://k", authority="", place=place())
        )
        found.append(backend.upstream("tracking", 5000, Scale(minimum=1, maximum=2)))

    record(program, preview=True)
    (upstream,) = found
    assert (upstream.addresses, upstream.tls, upstream.host, upstream.watched) == (
        ["tracking.mlflow-dev.svc.cluster.local:5000"],
        False,
        None,
        True,
    )


def run(backend: Compute, *specs: ServiceSpec | JobSpec) -> Graph:
    def program() -> None:
        parent = Parent()
        for spec in specs:
            if isinstance(spec, JobSpec):
                backend.run_job(spec, parent=parent)
            else:
                backend.run_service(spec, parent=parent)

    return record(program, preview=False, computed=COMPUTED)


def test_two_instances_of_one_role_run_side_by_side(tmp_path: Path) -> None:
    first = TOPOLOGY.service(Role.TRACKING, OWN_MACHINE)
    second = replace(first, name="tracking-blue", port=first.port + 100)
    processes = run(local(tmp_path), first, second)
    for name in ("tracking", "tracking-blue"):
        assert processes.inputs(name)["command"] == ["mlflow-runtime", "tracking"]
    assert processes.inputs("tracking-blue")["ports"] == [second.port]
    apps = run(container_apps(), first, second)
    made = [apps.inputs(name) for name in ("tracking", "tracking-blue")]
    assert [app["containerAppName"] for app in made] == ["ca-tracking-dev", "ca-tracking-blue-dev"]
    assert [app["template"]["containers"][0]["args"] for app in made] == [["tracking"], ["tracking"]]


@pytest.mark.parametrize(
    ("role", "replicas", "seconds"),
    [(Role.TRACKING, 1, "0"), (Role.TRACKING, 2, "4"), (Role.GATEWAY, 1, "1"), (Role.GATEWAY, 2, "4")],
)
def test_a_local_replica_sends_its_callers_away_if_there_is_another(
    role: Role, replicas: int, seconds: str, tmp_path: Path
) -> None:
    """A lone gateway has a stand-in on its port while it is replaced."""
    spec = TOPOLOGY.gateway(OWN_MACHINE) if role is Role.GATEWAY else TOPOLOGY.service(role, OWN_MACHINE)
    spec = replace(spec, scale=replace(spec.scale, minimum=replicas))
    process = run(local(tmp_path), spec).inputs(role.value)
    assert process["env"]["MLFLOW_RUNTIME_DRAIN_SECONDS"] == seconds


def test_each_instance_is_found_by_its_own_name() -> None:
    found: list[str] = []

    def program() -> None:
        for name in ("tracking", "tracking-blue"):
            (address,) = container_apps().upstream(name, 5000, Scale(minimum=1, maximum=1)).addresses
            pulumi.Output.from_input(address).apply(found.append)

    record(program, preview=False)
    assert [address.split(".")[0] for address in found] == ["ca-tracking-dev", "ca-tracking-blue-dev"]


def test_a_scheduled_job_is_set_up_and_not_waited_for(tmp_path: Path) -> None:
    nightly = replace(TOPOLOGY.prepare(), name="nightly", schedule="30 2 * * *")
    apps = run(container_apps(), nightly)
    assert apps.names == ["parent", "nightly-job"]
    configuration = apps.inputs("nightly-job")["configuration"]
    assert configuration["triggerType"] == "Schedule"
    assert configuration["scheduleTriggerConfig"] == {
        "cronExpression": "30 2 * * *",
        "parallelism": 1,
        "replicaCompletionCount": 1,
    }
    assert "manualTriggerConfig" not in configuration
    processes = run(local(tmp_path), nightly)
    assert processes.type("nightly") == "pulumi-python:dynamic/local:ProcessGroup"
    group = processes.inputs("nightly")
    assert group["command"][1:] == ["-m", "components.compute.local.scheduled", "30 2 * * *"]
    job = Job.of(json.loads(group["env"]["JOB"]))
    assert (job.name, job.command) == ("nightly-run", ["mlflow-runtime", "prepare"])
    assert job.env == TOPOLOGY.prepare().env


def roles_asked_for(source: str) -> list[str]:
    """Return the members of Role that a module names."""
    names = (node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    values = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [*(name for name in names if name in Role.__members__), *(value for value in values if value in ROLE_NAMES)]


ROLE_NAMES = [role.value for role in Role]


@pytest.mark.parametrize("backend", ["aks", "container_apps", "local"])
def test_no_backend_asks_which_role_it_runs(backend: str) -> None:
    modules = sorted((REPOSITORY / "components" / "compute" / backend).rglob("*.py"))
    assert len(modules) > 5
    assert {module.name: found for module in modules if (found := roles_asked_for(module.read_text()))} == {}


@pytest.mark.parametrize("asks", ["spec.role is Role.GATEWAY", "Role.PREPARE", "spec.name == 'gateway'"])
def test_a_backend_that_asks_is_noticed(asks: str) -> None:
    assert len(roles_asked_for(f"shares_port = {asks}")) == 1


@pytest.mark.parametrize(("cpu", "processors"), [(0.25, "1"), (1.0, "1"), (1.75, "1"), (2.0, "2")])
def test_a_process_takes_as_many_processors_as_its_container_would(tmp_path: Path, cpu: float, processors: str) -> None:
    spec = replace(TOPOLOGY.gateway(OWN_MACHINE), cpu=cpu)

    def given(backend: LocalCompute) -> str | None:
        graph = record(lambda: backend.run_service(spec, parent=Parent()), preview=False, computed=COMPUTED)
        found: str | None = graph.inputs(Role.GATEWAY.value)["env"].get("GOMAXPROCS")
        return found

    assert given(local(tmp_path)) == processors
    assert given(local(tmp_path, contained=True)) is None
