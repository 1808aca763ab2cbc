"""The databases of the stores."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.prepare.errors import PrepareError

# Azure's own superuser, which owns what Azure Resource Manager makes. Nobody can act as it.
_AZURE_OWNER = "azuresu"


def create_missing(connection: Connection, names: Sequence[str]) -> list[str]:
    """Create those of `names` that are missing, owned by the present role, and return them.

    `connection` is in autocommit: CREATE DATABASE runs in no transaction. Refuses an existing database whose owner is
    neither this role nor one whose rights it has, because migrations and grants would fail half-way in it.
    """
    owners = _owned(connection, names)
    if foreign := {name: owner for name, (owner, ours) in owners.items() if not ours}:
        named = ", ".join(f"{name!r} (owner {owner!r})" for name, owner in foreign.items())
        raise PrepareError(f"not owned by this role: database {named}", _remedy(set(foreign.values())))
    missing = [name for name in names if name not in owners]
    for name in missing:
        connection.execute(text(f"CREATE DATABASE {quoted(name)} ENCODING 'UTF8'"))
    return missing


def _remedy(owners: set[str]) -> str:
    if _AZURE_OWNER in owners:
        return (
            "it was made through ARM, for a role as which nobody can act; if nobody filled it, delete it with "
            "az postgres flexible-server db delete --resource-group GROUP --server-name SERVER --database-name NAME"
        )
    return "as a server administrator run ALTER DATABASE … OWNER TO this role, or configure other database names"


def _owned(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    rows = connection.execute(
        text(
            "SELECT datname, pg_get_userbyid(datdba), pg_has_role(current_user, datdba, 'USAGE') "
            "FROM pg_database WHERE datname = ANY(:names)"
        ),
        {"names": list(names)},
    )
    return {name: (owner, ours) for name, owner, ours in rows}
