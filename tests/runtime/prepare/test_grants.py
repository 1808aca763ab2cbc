"""Least privilege, as the catalogue has it and as each role finds it when it tries."""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest

from mlflow_runtime.prepare import grants
from mlflow_runtime.prepare.connection import engine
from mlflow_runtime.prepare.privileges import ACCESS, Store
from mlflow_runtime.prepare.steps import StepFailed, prepare
from tests.runtime.prepare.pairs import Pair, Prepared, Refused
from tests.runtime.prepare.snapshot import snapshot
from tests.support.servers import KeyVault

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
CHANGE = {"SELECT", "INSERT", "UPDATE", "DELETE"}
TABLES = "relnamespace = 'public'::regnamespace AND relkind = 'r'"


def verbs_on_tables(pair: Pair, database: str, role: str) -> dict[str, set[str]]:
    """By PostgreSQL's own judgement, which takes PUBLIC and memberships into account."""
    columns = ", ".join(f"has_table_privilege('{role}', oid, '{verb}')" for verb in VERBS)
    rows = pair.as_admin(database, f"SELECT relname, {columns} FROM pg_class WHERE {TABLES}")  # noqa: S608
    return {str(row[0]): {verb for verb, has in zip(VERBS, row[1:], strict=True) if has} for row in rows}


def test_tracking_changes_its_own_tables_and_reads_the_registrys(prepared: Prepared) -> None:
    own = verbs_on_tables(prepared.pair, prepared.pair.tracking, "mlflow-tracking")
    assert own.pop("alembic_version") == {"SELECT"}
    assert len(own) > 60
    assert set(map(frozenset, own.values())) == {frozenset(CHANGE)}
    other = verbs_on_tables(prepared.pair, prepared.pair.registry, "mlflow-tracking")
    assert set(map(frozenset, other.values())) == {frozenset({"SELECT"})}


def test_registry_changes_its_own_tables_and_in_trackings_only_tags_of_logged_models(prepared: Prepared) -> None:
    own = verbs_on_tables(prepared.pair, prepared.pair.registry, "mlflow-registry")
    assert own.pop("alembic_version") == {"SELECT"}
    assert set(map(frozenset, own.values())) == {frozenset(CHANGE)}
    other = verbs_on_tables(prepared.pair, prepared.pair.tracking, "mlflow-registry")
    assert other.pop("logged_model_tags") == {"SELECT", "INSERT", "UPDATE"}
    assert other.pop("secrets") == set()
    assert set(map(frozenset, other.values())) == {frozenset({"SELECT"})}


def test_sequences_schemas_and_databases(prepared: Prepared) -> None:
    pair = prepared.pair
    for database, owner, reader in (
        (pair.tracking, "mlflow-tracking", "mlflow-registry"),
        (pair.registry, "mlflow-registry", "mlflow-tracking"),
    ):
        for role, counts in ((owner, True), (reader, False)):
            columns = ", ".join(f"has_sequence_privilege('{role}', oid, '{verb}')" for verb in ("USAGE", "UPDATE"))
            sequences = f"SELECT DISTINCT {columns} FROM pg_class WHERE relkind = 'S'"  # noqa: S608
            assert pair.as_admin(database, sequences) == [(counts, False)]
            rights = (
                f"SELECT has_database_privilege('{role}', current_database(), 'CONNECT'), "
                f"has_database_privilege('{role}', current_database(), 'CREATE'), "
                f"has_database_privilege('{role}', current_database(), 'TEMPORARY'), "
                f"has_schema_privilege('{role}', 'public', 'USAGE'), has_schema_privilege('{role}', 'public', 'CREATE')"
            )
            assert pair.as_admin(database, rights) == [(True, False, False, True, False)]


def test_a_stranger_cannot_connect(prepared: Prepared) -> None:
    prepared.pair.as_admin("postgres", "CREATE ROLE stranger LOGIN")
    try:
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            prepared.pair.server.connect(prepared.pair.tracking, "stranger")
    finally:
        prepared.pair.as_admin("postgres", "DROP ROLE stranger")


FORBIDDEN_TO_BOTH = (
    "CREATE TABLE t (id int)",
    "CREATE TEMP TABLE t (id int)",
    "CREATE SCHEMA s",
    "CREATE VIEW v AS SELECT 1",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION hstore",
    "ALTER TABLE experiments ADD COLUMN extra int",
    "DROP TABLE experiments",
    "TRUNCATE metrics",
    "CREATE INDEX ON runs (name)",
    "UPDATE alembic_version SET version_num = 'x'",
    "DELETE FROM alembic_version",
    "CREATE ROLE r",
    "CREATE DATABASE d",
    'SET ROLE "mlflow-prepare"',
)


@pytest.mark.parametrize("role", ["mlflow-tracking", "mlflow-registry"])
@pytest.mark.parametrize("statement", FORBIDDEN_TO_BOTH)
def test_no_service_changes_the_schema_or_the_revision(prepared: Prepared, role: str, statement: str) -> None:
    for database in (prepared.pair.tracking, prepared.pair.registry):
        with pytest.raises(Refused):
            prepared.pair.server.run(database, role, statement)


def test_no_service_passes_its_rights_on(prepared: Prepared) -> None:
    pair = prepared.pair
    before = snapshot(pair)
    # PostgreSQL answers this with a warning where the role holds the right, but may not grant it.
    pair.server.run(pair.tracking, "mlflow-tracking", "GRANT SELECT ON experiments TO PUBLIC")
    assert snapshot(pair) == before


def test_data_that_a_service_may_not_touch(prepared: Prepared) -> None:
    run, pair = prepared.pair.server.run, prepared.pair
    for database, role, statement in (
        (pair.registry, "mlflow-tracking", "INSERT INTO registered_models (name, workspace) VALUES ('m', 'default')"),
        (pair.registry, "mlflow-tracking", "UPDATE registered_models SET description = 'x'"),
        (pair.registry, "mlflow-tracking", "DELETE FROM webhooks"),
        (pair.tracking, "mlflow-registry", "INSERT INTO tags (key, value, run_uuid) VALUES ('k', 'v', 'r')"),
        (pair.tracking, "mlflow-registry", "UPDATE experiments SET name = 'x'"),
        (pair.tracking, "mlflow-registry", "DELETE FROM logged_model_tags"),
        (pair.tracking, "mlflow-registry", "SELECT * FROM secrets"),
        (pair.tracking, "mlflow-registry", "SELECT nextval('experiments_experiment_id_seq')"),
    ):
        with pytest.raises(Refused):
            run(database, role, statement)


def test_a_table_of_a_later_migration_gets_its_grants_at_once(clone: Callable[[], Pair]) -> None:
    pair = clone()
    pair.server.run(pair.tracking, "mlflow-prepare", "CREATE TABLE later (id serial PRIMARY KEY)")
    pair.server.run(pair.tracking, "mlflow-tracking", "INSERT INTO later DEFAULT VALUES", "DELETE FROM later")
    assert pair.server.run(pair.tracking, "mlflow-registry", "SELECT count(*) FROM later") == [(0,)]
    with pytest.raises(Refused):
        pair.server.run(pair.tracking, "mlflow-registry", "INSERT INTO later DEFAULT VALUES")


EXTRA_GRANTS = {
    "table": 'GRANT DELETE, TRUNCATE ON experiments TO "mlflow-registry"',
    "column": 'GRANT UPDATE (name) ON experiments TO "mlflow-registry"',
    "grant option": 'GRANT SELECT ON experiments TO "mlflow-registry" WITH GRANT OPTION',
    "sequence": 'GRANT UPDATE ON SEQUENCE experiments_experiment_id_seq TO "mlflow-tracking"',
    "schema": 'GRANT CREATE ON SCHEMA public TO "mlflow-tracking"',
    "public schema": "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "everybody": "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC",
    "database": 'GRANT CREATE, TEMPORARY ON DATABASE {database} TO "mlflow-tracking"',
    "everybody connects": "GRANT CONNECT ON DATABASE {database} TO PUBLIC",
    "revision": 'GRANT ALL ON alembic_version TO "mlflow-tracking"',
    "defaults": 'ALTER DEFAULT PRIVILEGES FOR ROLE "mlflow-prepare" IN SCHEMA public '
    'GRANT INSERT ON TABLES TO "mlflow-registry"',
    "global defaults": 'ALTER DEFAULT PRIVILEGES FOR ROLE "mlflow-prepare" GRANT INSERT ON TABLES TO "mlflow-registry"',
}
LOST_GRANTS = {
    "table": 'REVOKE ALL ON runs FROM "mlflow-tracking"',
    "connect": 'REVOKE CONNECT ON DATABASE {database} FROM "mlflow-registry"',
    "sequence": 'REVOKE USAGE ON SEQUENCE experiments_experiment_id_seq FROM "mlflow-tracking"',
    "defaults": 'ALTER DEFAULT PRIVILEGES FOR ROLE "mlflow-prepare" IN SCHEMA public '
    'REVOKE SELECT ON TABLES FROM "mlflow-registry"',
}


def test_the_next_run_revokes_every_extra_grant_and_restores_every_lost_one(
    clone: Callable[[], Pair], key_vault: KeyVault
) -> None:
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    good = snapshot(pair)
    target = engine(pair.settings().admin_url, pair.tracking)
    access = {f"mlflow-{service}": rights for service, rights in ACCESS[Store.TRACKING].items()}
    for name, statement in [*EXTRA_GRANTS.items(), *LOST_GRANTS.items()]:
        pair.as_admin(pair.tracking, statement.format(database=pair.tracking))
        assert privileges(snapshot(pair)) != privileges(good), name
        assert grants.converge(target, access)
        assert privileges(snapshot(pair)) == privileges(good), name
    for statement in [*EXTRA_GRANTS.values(), *LOST_GRANTS.values()]:
        pair.as_admin(pair.tracking, statement.format(database=pair.tracking))
    prepare(pair.settings(), key_vault.client)
    assert privileges(snapshot(pair)) == privileges(good)


def test_rights_in_another_schema_are_revoked(clone: Callable[[], Pair], key_vault: KeyVault) -> None:
    pair = clone()
    pair.server.run(pair.tracking, "mlflow-prepare", "CREATE SCHEMA extra", "GRANT ALL ON SCHEMA extra TO PUBLIC")
    attempt = "CREATE TABLE extra.t (id int)"
    pair.server.run(pair.tracking, "mlflow-tracking", attempt, "DROP TABLE extra.t")
    prepare(pair.settings(), key_vault.client)
    with pytest.raises(Refused):
        pair.server.run(pair.tracking, "mlflow-tracking", attempt)


def privileges(found: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """The snapshot with each access list in a fixed order, since a revoke and a grant may reorder it."""
    return {
        name: sorted(tuple("".join(sorted(str(field).strip("{}").split(","))) for field in row) for row in rows)
        for name, rows in found.items()
    }


def test_grants_of_other_roles_are_left_alone(clone: Callable[[], Pair], key_vault: KeyVault) -> None:
    pair = clone()
    pair.as_admin(pair.tracking, "CREATE ROLE analyst", "GRANT SELECT ON experiments TO analyst")
    try:
        prepare(pair.settings(), key_vault.client)
        rights = "SELECT has_table_privilege('analyst', 'experiments', 'SELECT')"
        assert pair.as_admin(pair.tracking, rights) == [(True,)]
    finally:
        pair.as_admin(pair.tracking, "DROP OWNED BY analyst", "DROP ROLE analyst")


@pytest.mark.parametrize(
    ("spoil", "fix", "words"),
    [
        (
            'ALTER ROLE "mlflow-tracking" CREATEDB',
            'ALTER ROLE "mlflow-tracking" NOCREATEDB',
            "has CREATEDB(.|\n)*NOCREATEDB",
        ),
        (
            'GRANT pg_read_all_data TO "mlflow-registry"',
            'REVOKE pg_read_all_data FROM "mlflow-registry"',
            "member of 'pg_read_all_data'(.|\n)*REVOKE",
        ),
        (
            "DELETE FROM pgaadauth.principals WHERE role = '\"mlflow-registry\"'::regrole",
            "INSERT INTO pgaadauth.principals VALUES "
            "('\"mlflow-registry\"'::regrole, '22222222-2222-2222-2222-222222222222', 'service', false, false)",
            "tied to no Entra object",
        ),
        (
            "UPDATE pgaadauth.principals SET object_id = '33333333-3333-3333-3333-333333333333' "
            "WHERE role = '\"mlflow-tracking\"'::regrole",
            "UPDATE pgaadauth.principals SET object_id = '11111111-1111-1111-1111-111111111111' "
            "WHERE role = '\"mlflow-tracking\"'::regrole",
            "tied to Entra object 33333333-(.|\n)*DROP ROLE",
        ),
    ],
)
def test_an_unsafe_role_is_refused(prepared: Prepared, key_vault: KeyVault, spoil: str, fix: str, words: str) -> None:
    prepared.pair.as_admin("postgres", spoil)
    try:
        with pytest.raises(StepFailed, match=words):
            prepare(prepared.pair.settings(), key_vault.client)
    finally:
        prepared.pair.as_admin("postgres", fix)
    prepare(prepared.pair.settings(), key_vault.client)


def test_a_role_that_owns_a_table_is_refused(clone: Callable[[], Pair], key_vault: KeyVault) -> None:
    pair = clone()
    pair.as_admin(pair.tracking, 'ALTER TABLE secrets OWNER TO "mlflow-registry"')
    with pytest.raises(StepFailed, match=r"own things in this database: secrets(.|\n)*REASSIGN OWNED"):
        prepare(pair.settings(), key_vault.client)
