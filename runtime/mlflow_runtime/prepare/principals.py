"""Database roles of the services' managed identities.

In database `postgres`, `pgaadauth_create_principal_with_oid` makes a role and ties it to an Entra object, whose tokens
then log in as that role; `pgaadauth_list_principals` lists the ties. Azure and the local server both have them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.prepare.settings import Principal

_ATTRIBUTES = {
    "rolsuper": "SUPERUSER",
    "rolcreatedb": "CREATEDB",
    "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}


def ensure(connection: Connection, principals: Sequence[Principal]) -> list[str]:
    """Create the roles that are missing and return their names; refuse existing ones that are unsafe.

    `connection` is in autocommit and in database `postgres`. Unsafe is a role that is tied to another Entra object (its
    identity was recreated) or to none, one with an attribute of an administrator, and a member of another role.
    """
    present = _ties(connection, [principal.name for principal in principals])
    missing = [principal for principal in principals if principal.name not in present]
    for principal in missing:
        connection.execute(
            text("SELECT pgaadauth_create_principal_with_oid(:name, :object_id, 'service', false, false)"),
            {"name": principal.name, "object_id": principal.object_id},
        )
    for principal in principals:
        if principal not in missing:
            _refuse_other_tie(principal, present[principal.name])
        _refuse_power(connection, principal.name)
    return [principal.name for principal in missing]


def _ties(connection: Connection, names: Sequence[str]) -> dict[str, str | None]:
    """Those of the roles that exist, each with the object id that it is tied to, if any."""
    rows = connection.execute(
        text(
            "SELECT r.rolname, p.objectid FROM pg_roles r LEFT JOIN pgaadauth_list_principals(false) p "
            "ON p.rolname = r.rolname WHERE r.rolname = ANY(:names)"
        ),
        {"names": list(names)},
    )
    return {name: object_id and str(object_id).lower() for name, object_id in rows}


def _refuse_other_tie(principal: Principal, tied: str | None) -> None:
    if tied == principal.object_id:
        return
    role, tie = quoted(principal.name), f"Entra object {tied}" if tied else "no Entra object"
    raise PrepareError(
        f"role {principal.name!r} is tied to {tie}, but the identity is {principal.object_id}: its tokens are refused",
        f"run DROP OWNED BY {role} in each database where it has rights and DROP ROLE {role} in postgres (a service's "
        "role owns no data); the next run recreates it with its rights",
    )


def _refuse_power(connection: Connection, role: str) -> None:
    row = connection.execute(
        text(f"SELECT {', '.join(_ATTRIBUTES)} FROM pg_roles WHERE rolname = :role"),  # noqa: S608 - fixed column names
        {"role": role},
    ).one()
    if held := [word for word, has in zip(_ATTRIBUTES.values(), row, strict=True) if has]:
        raise PrepareError(
            f"role {role!r} has {', '.join(held)}; a service's role has none of these",
            f"as a server administrator run: ALTER ROLE {quoted(role)} {' '.join('NO' + word for word in held)}",
        )
    groups = connection.scalars(
        text(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid "
            "JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = :role ORDER BY 1"
        ),
        {"role": role},
    ).all()
    if groups:
        raise PrepareError(
            f"role {role!r} is a member of {', '.join(map(repr, groups))} and has rights beyond its own",
            "as a server administrator run: "
            + "; ".join(f"REVOKE {quoted(group)} FROM {quoted(role)}" for group in groups),
        )
