"""Brings the privileges of PUBLIC and of the services' roles in one database to what the table says.

It compares with the catalogue and runs only the differences, so a repeated run runs nothing and a grant that somebody
made by hand is revoked. Other roles (an analyst's, a backup's) are an operator's business and stay as they are; so
do objects of extensions, and objects of owners whose rights this role does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, text

from mlflow_runtime.prepare.connection import quoted
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.prepare.privileges import MLFLOW_SCHEMA, PUBLIC, Access, Kind, Privilege, statements, wanted

_OWN_SCHEMAS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

_HELD = f"""
WITH governed AS (
    SELECT 0::oid AS id, '' AS name UNION ALL SELECT oid, rolname FROM pg_roles WHERE rolname = ANY(:roles)
), of_extension AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), held AS (
    SELECT 'DATABASE' AS kind, ARRAY[d.datname] AS name, d.datdba AS owner,
           coalesce(d.datacl, acldefault('d', d.datdba)) AS acl
    FROM pg_database d WHERE d.datname = current_database()
    UNION ALL
    SELECT 'SCHEMA', ARRAY[n.nspname], n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
    FROM pg_namespace n
    WHERE {_OWN_SCHEMAS} AND ('pg_namespace'::regclass, n.oid) NOT IN (SELECT * FROM of_extension)
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, ARRAY[n.nspname, c.relname], c.relowner,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OWN_SCHEMAS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT * FROM of_extension)
    UNION ALL
    SELECT 'COLUMN', ARRAY[n.nspname, c.relname, a.attname], c.relowner, a.attacl
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OWN_SCHEMAS} AND a.attacl IS NOT NULL AND NOT a.attisdropped
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT * FROM of_extension)
    UNION ALL
    SELECT CASE d.defaclobjtype WHEN 'S' THEN 'SEQUENCES' ELSE 'TABLES' END,
           array_remove(ARRAY[n.nspname], NULL), d.defaclrole, d.defaclacl
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE d.defaclrole = current_user::regrole AND d.defaclobjtype IN ('r', 'S')
)
SELECT held.kind, held.name, governed.name, entry.privilege_type, entry.is_grantable
FROM held CROSS JOIN LATERAL aclexplode(held.acl) AS entry JOIN governed ON governed.id = entry.grantee
WHERE pg_has_role(current_user, held.owner, 'USAGE') AND entry.grantee <> held.owner
"""  # noqa: S608 - composed of constants only

_RELATIONS = """
SELECT c.relkind, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'S')
  AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  )
"""

_OWNED = """
SELECT pg_get_userbyid(owner), name FROM (
    SELECT relowner, relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT nspowner, nspname FROM pg_namespace
    UNION ALL SELECT datdba, datname FROM pg_database WHERE datname = current_database()
) AS thing (owner, name) WHERE pg_get_userbyid(owner) = ANY(:roles) ORDER BY 1, 2
"""


def converge(target: Engine, access: Mapping[str, Access]) -> list[str]:
    """Run the missing and revoke the excess privileges, in one transaction, and return the statements it ran.

    Refuses a service's role that owns something (nobody can revoke an owner's rights), and fails if the catalogue
    does not show afterwards what the table says.
    """
    with target.begin() as connection:
        _refuse_owned(connection, access)
        due = _due(connection, target.url.database or "", access)
        changes = statements(held(connection, access), due)
        for change in changes:
            connection.exec_driver_sql(change.replace("%", "%%"))
        if left := statements(held(connection, access), due):
            raise PrepareError(
                f"privileges in database {target.url.database!r} cannot be brought in order; still needed: "
                + "; ".join(left),
                "run these statements as the owner or as the role that granted them",
            )
    return changes


def held(connection: Connection, roles: Mapping[str, Access]) -> frozenset[Privilege]:
    """What PUBLIC and `roles` hold, by the catalogue, on things that this role may grant on."""
    rows = connection.execute(text(_HELD), {"roles": list(roles)})
    return frozenset(
        Privilege(Kind(kind), tuple(name), grantee or PUBLIC, verb, grantable)
        for kind, name, grantee, verb, grantable in rows
    )


def _due(connection: Connection, database: str, access: Mapping[str, Access]) -> frozenset[Privilege]:
    relations = connection.execute(text(_RELATIONS), {"schema": MLFLOW_SCHEMA}).all()
    tables = [name for kind, name in relations if kind != "S"]
    sequences = [name for kind, name in relations if kind == "S"]
    return wanted(database, tables, sequences, access)


def _refuse_owned(connection: Connection, access: Mapping[str, Access]) -> None:
    owned = connection.execute(text(_OWNED), {"roles": list(access)}).all()
    if owned:
        role = owned[0][0]
        raise PrepareError(
            f"services' roles own things in this database: {', '.join(f'{name} ({owner})' for owner, name in owned)}",
            f"in this database run: REASSIGN OWNED BY {quoted(role)} TO CURRENT_USER",
        )
