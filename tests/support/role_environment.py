"""The environment of each role in tests: what the topology gives it, and what a backend and Azure add.

No test lists by hand which variables a role needs, so that a new one has to be added nowhere in the tests.
"""

from __future__ import annotations

from typing import Any

from components.compute.contract import JobSpec, Scale, ServiceSpec, Upstream, WorkloadIdentity
from components.mlflow.roles import Role
from components.mlflow.topology import DataAddresses, Size, Topology, identity_name

IDENTITY = {
    "AZURE_CLIENT_ID": "11111111-1111-1111-1111-111111111111",
    "IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi/token",
    "IDENTITY_HEADER": "header-value",
}
PORT = "5000"

_PRINCIPAL = "22222222-2222-2222-2222-222222222222"
_SIZE = Size(cpu=0.5, memory_mib=512, spool_mib=512, scale=Scale(minimum=1, maximum=2))

TOPOLOGY = Topology(
    sizes=dict.fromkeys(Role, _SIZE),
    ports=dict.fromkeys(Role, int(PORT)),
    identities={
        role: WorkloadIdentity(name=identity_name(role), client_id=IDENTITY["AZURE_CLIENT_ID"], principal_id=_PRINCIPAL)
        for role in Role
    },
    data=DataAddresses(
        database_host="db.example.com",
        sslmode="verify-full",
        blob_container_url="https://account.blob.core.windows.net/artifacts",
        key_vault_url="https://name.vault.azure.net",
    ),
    public_hosts=["mlflow.example.com", "localhost:5500"],
    bind_host="127.0.0.1",
)


class OneAddress:
    """A backend whose services are behind one name each. It runs nothing."""

    def upstream(self, name: str, *_: Any, **__: Any) -> Upstream:
        return Upstream(addresses=[f"{name}.internal:5000"])

    def run_job(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("no test runs a spec on this backend")

    run_service = run_job


def given(role: str, topology: Topology = TOPOLOGY) -> dict[str, str]:
    """Return the settings of a role: all of the topology, which must be plain, and the drain of the backend."""
    spec = _spec(Role(role), topology)
    drain = {spec.drain_variable: str(spec.drain_seconds)} if isinstance(spec, ServiceSpec) else {}
    assert all(isinstance(value, str) for value in spec.env.values()), spec.env
    return {**{name: str(value) for name, value in spec.env.items()}, **drain}


def whole(role: str, topology: Topology = TOPOLOGY) -> dict[str, str]:
    """Return the whole environment of a role's process: its settings, its port, and its identity of Azure."""
    return {"PORT": PORT, **IDENTITY, **given(role, topology)}


def _spec(role: Role, topology: Topology) -> ServiceSpec | JobSpec:
    if role is Role.PREPARE:
        return topology.prepare()
    return topology.gateway(OneAddress()) if role is Role.GATEWAY else topology.service(role, OneAddress())
