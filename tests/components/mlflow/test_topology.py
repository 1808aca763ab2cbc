"""The services' specs, from settings alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.compute.contract import Deployment, Ingress, JobSpec, Scale, ServiceSpec, Upstream, WorkloadIdentity
from components.mlflow.limits import Limits
from components.mlflow.roles import BACKENDS, WITH_DATABASES, Role
from components.mlflow.topology import VARIABLE_PREFIX, DataAddresses, Size, Topology, identity_name

ROLES = (Role.GATEWAY, *BACKENDS)


class OneAddress:
    """A backend whose services are behind one name each."""

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        del scale
        return Upstream(addresses=[f"{name}.internal:{port}"])

    def run_job(self, spec: JobSpec, **_: Any) -> Deployment:
        raise AssertionError(f"a topology runs nothing, {spec.name} neither")

    def run_service(self, spec: ServiceSpec, **_: Any) -> Deployment:
        raise AssertionError(f"a topology runs nothing, {spec.name} neither")


@pytest.fixture
def topology() -> Topology:
    size = Size(cpu=0.5, memory_mib=512, spool_mib=0, scale=Scale(minimum=1, maximum=2))
    return Topology(
        sizes=dict.fromkeys(ROLES, size),
        ports={role: 5000 + number for number, role in enumerate(ROLES)},
        identities={
            role: WorkloadIdentity(name=identity_name(role), client_id=f"{role}-client", principal_id=f"{role}-object")
            for role in (*ROLES, Role.PREPARE)
        },
        data=DataAddresses(
            database_host="db.example:5432",
            sslmode="verify-full",
            blob_container_url="https://account.blob.core.windows.net/mlflow",
            key_vault_url="https://vault.example/",
        ),
        public_hosts=["mlflow.example", "127.0.0.1:5500"],
    )


def test_each_service_signs_in_to_the_database_as_itself(topology: Topology) -> None:
    for role in (Role.TRACKING, Role.REGISTRY):
        env = topology.service(role, OneAddress()).env
        assert env["MLFLOW_RUNTIME_TRACKING_DATABASE_URL"] == (
            f"postgresql+entra://mlflow-{role}@db.example:5432/tracking?sslmode=verify-full"
        )
        assert str(env["MLFLOW_RUNTIME_REGISTRY_DATABASE_URL"]).endswith("/registry?sslmode=verify-full")
        assert env["AZURE_CLIENT_ID"] == f"{role}-client"


def test_services_with_databases_get_their_pool_size(topology: Topology) -> None:
    chosen = replace(topology, limits=Limits(database_pool=6))
    for role in (Role.TRACKING, Role.REGISTRY):
        assert chosen.service(role, OneAddress()).env["MLFLOW_RUNTIME_DATABASE_POOL_SIZE"] == "6"
    assert "MLFLOW_RUNTIME_DATABASE_POOL_SIZE" not in chosen.service(Role.ARTIFACTS, OneAddress()).env


def test_tracking_alone_gets_connections_for_its_hot_path(topology: Topology) -> None:
    chosen = replace(topology, limits=Limits(hot_path_connections=0))
    given = {role: chosen.service(role, OneAddress()).env for role in (Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)}
    assert {role: env.get("MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS") for role, env in given.items()} == {
        Role.TRACKING: "0",
        Role.REGISTRY: None,
        Role.ARTIFACTS: None,
    }


def test_no_service_with_connections_shares_its_port(topology: Topology) -> None:
    """One that does is replaced beside a stand-in on the local stack, whose connections its budget would lack."""
    sharing = {role for role in ROLES if topology.service(role, OneAddress()).shares_port}
    assert sharing == {Role.GATEWAY}
    assert sharing.isdisjoint(WITH_DATABASES)


def test_every_service_gets_its_limit_of_requests_in_flight(topology: Topology) -> None:
    chosen = replace(topology, limits=Limits(max_in_flight=77))
    assert {chosen.service(role, OneAddress()).env["MLFLOW_RUNTIME_MAX_IN_FLIGHT"] for role in BACKENDS} == {"77"}


def test_every_service_but_the_gateway_gets_its_metrics_interval(topology: Topology) -> None:
    chosen = replace(topology, limits=Limits(metrics_seconds=15))
    assert {chosen.service(role, OneAddress()).env["MLFLOW_RUNTIME_METRICS_SECONDS"] for role in BACKENDS} == {"15"}
    assert "MLFLOW_RUNTIME_METRICS_SECONDS" not in chosen.gateway(OneAddress()).env


def test_the_gateway_shows_its_metrics_on_its_own_port(topology: Topology) -> None:
    assert "MLFLOW_RUNTIME_METRICS_PORT" not in topology.gateway(OneAddress()).env
    assert (
        replace(topology, gateway_metrics_port=8081).gateway(OneAddress()).env["MLFLOW_RUNTIME_METRICS_PORT"] == "8081"
    )


def test_artifacts_gets_no_database_and_the_gateway_no_data_at_all(topology: Topology) -> None:
    assert not [name for name in topology.service(Role.ARTIFACTS, OneAddress()).env if "DATABASE" in name]
    gateway = topology.gateway(OneAddress())
    assert not [name for name in gateway.env if "DATABASE" in name or "BLOB" in name or "VAULT" in name]


def test_the_gateway_knows_where_each_service_is(topology: Topology) -> None:
    env = topology.gateway(OneAddress()).env
    for role in BACKENDS:
        assert env[f"MLFLOW_RUNTIME_{role.name}_UPSTREAMS"] == f"{role}.internal:{topology.ports[role]}"
    assert env["MLFLOW_RUNTIME_UPSTREAM_TLS"] == "false"
    assert env["MLFLOW_RUNTIME_UPSTREAM_CHECKS"] == "true"
    assert env["MLFLOW_RUNTIME_PUBLIC_HOSTS"] == "mlflow.example,127.0.0.1:5500"


def test_only_the_gateway_has_the_ingress_that_was_asked_for(topology: Topology) -> None:
    public = replace(topology, ingress=Ingress.PUBLIC)
    assert public.gateway(OneAddress()).ingress is Ingress.PUBLIC
    assert {public.service(role, OneAddress()).ingress for role in BACKENDS} == {Ingress.INTERNAL}


def test_a_service_has_the_name_of_its_role(topology: Topology) -> None:
    specs = [*(topology.service(role, OneAddress()) for role in BACKENDS), topology.gateway(OneAddress())]
    assert [(spec.name, spec.role) for spec in specs] == [(role.value, role) for role in (*BACKENDS, Role.GATEWAY)]
    assert (topology.prepare().name, topology.prepare().role) == ("prepare", Role.PREPARE)


@pytest.mark.parametrize(("grace", "drain"), [(30, 4), (8, 4), (6, 2), (3, 0)])
def test_a_short_grace_time_is_for_the_requests_in_flight(topology: Topology, grace: int, drain: int) -> None:
    spec = replace(topology, limits=Limits(grace_seconds=grace)).gateway(OneAddress())
    assert (spec.grace_seconds, spec.drain_seconds) == (grace, drain)


def test_only_the_gateway_shares_its_port_and_opens_another_one(topology: Topology) -> None:
    chosen = replace(topology, gateway_metrics_port=8081)
    assert (chosen.gateway(OneAddress()).shares_port, chosen.gateway(OneAddress()).extra_ports) == (True, [8081])
    services = [chosen.service(role, OneAddress()) for role in BACKENDS]
    assert not any(spec.shares_port or spec.extra_ports for spec in services)


def test_prepare_gets_the_principals_of_the_services_and_the_admin_database(topology: Topology) -> None:
    env = topology.prepare().env
    assert env["MLFLOW_RUNTIME_DATABASE_ADMIN_URL"] == (
        "postgresql+entra://mlflow-prepare@db.example:5432/postgres?sslmode=verify-full"
    )
    assert env["MLFLOW_RUNTIME_TRACKING_PRINCIPAL"] == "mlflow-tracking:tracking-object"
    assert env["MLFLOW_RUNTIME_REGISTRY_PRINCIPAL"] == "mlflow-registry:registry-object"


def test_no_spec_names_a_secret(topology: Topology) -> None:
    specs: list[ServiceSpec | JobSpec] = [
        *(topology.service(role, OneAddress()) for role in BACKENDS),
        topology.prepare(),
    ]
    for spec in specs:
        names = [name.removeprefix(VARIABLE_PREFIX) for name in spec.env]
        assert not [name for name in names if "PASSWORD" in name or "SECRET" in name or "KEY" in name.split("_")[1:]]


def test_a_value_that_is_known_only_later_makes_its_variable_an_output(topology: Topology) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())  # a test before this one may have closed its own
    later = replace(topology, data=replace(topology.data, database_host=pulumi.Output.from_input("db:5432")))
    assert isinstance(
        later.service(Role.TRACKING, OneAddress()).env["MLFLOW_RUNTIME_TRACKING_DATABASE_URL"], pulumi.Output
    )
