"""The databases of the stores."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.prepare.errors import PrepareError


def create_missing(connection: Connection, names: Sequence[str]) -> list[str]:
    """Create those of `names` that are missing, owned by the present role, and return them.

    `connection` is in autocommit: CREATE DATABASE runs in no transaction. Refuses an existing database whose owner is
    neither this role nor one whose rights it has, because migrations and grants would fail half-way in it.
    """
    owners = _owned(connection, names)
    if foreign := [f"{name!r} (owner {owner!r})" for name, (owner, ours) in owners.items() if not ours]:
        raise PrepareError(
            f"not owned by this role: database {', '.join(foreign)}",
            "as a server administrator run ALTER DATABASE … OWNER TO this role, or configure other database names",
        )
    missing = [name for name in names if name not in owners]
    for name in missing:
        connection.execute(text(f"CREATE DATABASE {quoted(name)} ENCODING 'UTF8'"))
    return missing


def _owned(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    rows = connection.execute(
        text(
            "SELECT datname, pg_get_userbyid(datdba), pg_has_role(current_user, datdba, 'USAGE') "
            "FROM pg_database WHERE datname = ANY(:names)"
        ),
        {"names": list(names)},
    )
    return {name: (owner, ours) for name, owner, ours in rows}
