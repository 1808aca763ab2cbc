"""Whether the database server takes every connection that the services may open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.azure import postgres_size
from components.mlflow.connections import Budget, budget
from infra.settings.problems import Problems

if TYPE_CHECKING:
    from infra.settings.model import Settings

# max_connections of the local stack's server, and PostgreSQL's default of superuser_reserved_connections.
LOCAL_CONNECTIONS = 400
LOCAL_RESERVED = 3


@dataclass(frozen=True, kw_only=True)
class Server:
    """A database server: its connections, the reserved ones among them, and the key that raises the replicas.

    `rolling` says whether an `up` starts successors beside the replicas that it replaces. On one machine it does not:
    a service with connections is replaced in place, each replica on its own port.
    """

    name: str
    connections: int
    reserved: int
    replicas_key: str
    rolling: bool


_LOCAL_SERVER = Server(
    name="the local PostgreSQL",
    connections=LOCAL_CONNECTIONS,
    reserved=LOCAL_RESERVED,
    replicas_key="minReplicas",
    rolling=False,
)


def connections_suffice(problems: Problems, settings: Settings) -> None:
    """Refuse more connections than the server takes, which holds both databases."""
    server = _LOCAL_SERVER if settings.azure is None else _server_of_azure(settings.azure.database.sku)
    needed = budget(settings.sizes, settings.limits.database_pool, rolling=server.rolling)
    available = server.connections - server.reserved
    if needed.total <= available:
        return
    field, largest = "limits.databasePool", needed.largest_pool(available)
    problems.note(
        field,
        needed.pool,
        f"{'none with so many replicas' if largest is None else f'at most {largest}'}, as the services may open "
        f"{needed.arithmetic()}, and {server.name} takes {server.connections} - {server.reserved} reserved = "
        f"{available}",
        problems.set(field, largest) if largest is not None else _fewer_replicas(problems, needed, server, available),
    )


def _server_of_azure(sku: str) -> Server:
    most, reserved = postgres_size.max_connections(sku), postgres_size.RESERVED_CONNECTIONS
    return Server(name=sku, connections=most, reserved=reserved, replicas_key="maxReplicas", rolling=True)


def _fewer_replicas(problems: Problems, needed: Budget, server: Server, available: int) -> str:
    """Fewer of the service that has the most: as many as the smallest pool leaves room for."""
    role = max(needed.replicas, key=lambda each: needed.replicas[each])
    command = problems.set(f"{role}.{server.replicas_key}", needed.most_replicas(role, available))
    return f"choose a larger database.sku, or lower {server.replicas_key} of tracking or registry: `{command}`"
