"""Whether the database server takes all the connections that this replica may open. Asked once, when it starts.

A server that is full refuses connects, and then every service on it answers errors: better one replica that says why it
does not start. The preview of a stack does the sum over all replicas, from the size of the server; here the server
itself is asked.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from mlflow_runtime import environment
from mlflow_runtime.reasons import first_line
from mlflow_runtime.service.settings import Databases

ENGINES_PER_DATABASE: Final = 1
PROBES_PER_DATABASE: Final = 1

_CONNECT_SECONDS: Final = 2

# reserved_connections came with PostgreSQL 16. On Azure the two together are the 15 that the service keeps for itself.
_LIMITS: Final = text(
    "SELECT current_setting('max_connections')::int,"
    " current_setting('superuser_reserved_connections')::int"
    " + coalesce(current_setting('reserved_connections', true)::int, 0)"
)

_log = logging.getLogger(__name__)


class ConnectionsError(Exception):
    """The server takes fewer connections than this replica may open. The message holds the arithmetic."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many connections a server takes, and how many of them are for its own administration."""

    most: int
    reserved: int

    @property
    def available(self) -> int:
        """What is left for the services."""
        return self.most - self.reserved


def require(databases: Databases | None) -> None:
    """Ask each server that holds one of the databases. Raises ConnectionsError where they are too many.

    A server that cannot be asked is not waited for, since a service starts without its database: that is logged, and
    nothing is refused.
    """
    if databases is None:
        return
    urls = {_server(url): url for url in (databases.registry, databases.tracking)}
    held = Counter(map(_server, (databases.registry, databases.tracking)))
    for server, url in urls.items():
        try:
            limit = ask(url)
        except SQLAlchemyError as error:
            _log.warning("%s cannot be asked for its connections, which are not checked: %s", server, first_line(error))
            continue
        if reason := refusal(server, limit, databases.pool_size, held[server]):
            raise ConnectionsError(reason)


def refusal(server: str, limit: Limit, pool: int, databases: int) -> str | None:
    """Why `limit` is too low, or None if it is not.

    `pool` connections are kept open by each engine, and as many more are opened at work; `databases` of the two are on
    this server.
    """
    needed = databases * (ENGINES_PER_DATABASE * 2 * pool + PROBES_PER_DATABASE)
    if needed <= limit.available:
        return None
    return (
        f"This replica alone may open {databases} databases x ({ENGINES_PER_DATABASE} engine x ({pool} kept + {pool} "
        f"more at work) + {PROBES_PER_DATABASE} for /ready) = {needed} connections to {server}, which takes "
        f"{limit.most} - {limit.reserved} reserved = {limit.available}. Lower "
        f"{environment.variable('DATABASE_POOL_SIZE')} (limits.databasePool of the stack) or take a larger server."
    )


def ask(url: URL) -> Limit:
    """The limits of a server. Raises SQLAlchemyError when it does not answer."""
    reported = {"connect_timeout": str(_CONNECT_SECONDS), "application_name": "mlflow-start"}
    engine = create_engine(url.update_query_dict(reported), poolclass=NullPool)
    with engine.connect() as connection:
        most, reserved = connection.execute(_LIMITS).one()
    return Limit(most=most, reserved=reserved)


def _server(url: URL) -> str:
    return f"{(url.host or '').lower()}:{url.port or 5432}"
