"""All that prepare may change on a server, as one comparable value."""

from __future__ import annotations

from tests.runtime.prepare.pairs import Pair

_SERVER = {
    "roles": "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin FROM pg_roles ORDER BY 1",
    "memberships": "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members ORDER BY 1, 2",
}
_DATABASE = {
    "database": "SELECT datname, pg_get_userbyid(datdba), datacl::text FROM pg_database "
    "WHERE datname = current_database()",
    "schemas": "SELECT nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace "
    "WHERE nspname !~ '^pg_' ORDER BY 1",
    "relations": "SELECT relnamespace::regnamespace::text, relname, relkind, pg_get_userbyid(relowner), relacl::text "
    "FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1, 2",
    "columns": "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL "
    "AND attrelid >= 16384 ORDER BY 1, 2",
    "defaults": "SELECT defaclrole::regrole::text, defaclobjtype, defaclacl::text FROM pg_default_acl ORDER BY 1, 2",
    "revision": "SELECT version_num FROM alembic_version",
    "experiments": "SELECT experiment_id, name, creation_time FROM experiments ORDER BY 1",
}


def snapshot(pair: Pair) -> dict[str, list[tuple[object, ...]]]:
    found = {name: pair.as_admin("postgres", query) for name, query in _SERVER.items()}
    for database in (pair.tracking, pair.registry):
        found |= {f"{database} {name}": pair.as_admin(database, query) for name, query in _DATABASE.items()}
    return found
