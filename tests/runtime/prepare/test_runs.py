"""Whole runs of prepare against a real PostgreSQL: fresh, repeated, at once, killed, behind, ahead."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from alembic import command
from mlflow.store.db import utils as mlflow_db
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialModels
from sqlalchemy import text

from mlflow_runtime.prepare import lock, schema
from mlflow_runtime.prepare.connection import APPLICATION_NAME, engine
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.prepare.steps import StepFailed, prepare
from tests.runtime.prepare.pairs import Pair, Prepared
from tests.runtime.prepare.snapshot import snapshot
from tests.support.servers import KeyVault
from tests.support.waiting import until

RESTORE_POINTS = "SELECT from_revision, to_revision, mlflow_version FROM prepare.restore_points ORDER BY id"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="mlflow_runtime.prepare")
    return caplog


def step_back(pair: Pair, database: str) -> str:
    """Takes the newest migration back, as if an older image had made the database; returns its revision."""
    target = engine(pair.settings().admin_url, database)
    config = mlflow_db._get_alembic_config(str(target.url))
    with target.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    revision = schema.examine(target).revision
    assert revision is not None
    return revision


def test_of_two_at_once_on_an_empty_server_one_works_and_the_other_waits_and_finds_nothing_to_do(
    prepared: Prepared,
) -> None:
    assert prepared.exit_codes == [0, 0], prepared.outputs
    assert all("another prepare is at work (session " in output for output in prepared.outputs)
    worker, waiter = sorted(prepared.outputs, key=lambda output: "roles: present" in output)
    assert "roles: created mlflow-tracking, mlflow-registry" in worker
    assert "databases: created base_tracking, base_registry" in worker
    assert "migrate base_tracking: empty -> " in worker
    assert "migrate base_registry: empty -> " in worker
    for line in (
        "roles: present",
        "databases: present",
        "migrate base_tracking: already at",
        "in base_tracking: in order",
    ):
        assert line in waiter


def test_fresh_databases_are_at_the_head_with_the_default_experiment_and_no_restore_point(prepared: Prepared) -> None:
    pair = prepared.pair
    for database in (pair.tracking, pair.registry):
        assert pair.as_admin(database, "SELECT version_num FROM alembic_version") == [(schema.expected_revision(),)]
        assert pair.as_admin(database, "SELECT to_regclass('prepare.restore_points')") == [(None,)]
    experiments = "SELECT experiment_id, name, artifact_location FROM experiments"
    assert pair.as_admin(pair.tracking, experiments) == [(0, "Default", "mlflow-artifacts:/0")]
    assert pair.as_admin(pair.tracking, "SELECT name FROM workspaces") == [("default",)]


def test_a_repeated_run_changes_nothing(prepared: Prepared, key_vault: KeyVault) -> None:
    before = snapshot(prepared.pair)
    assert len(before["base_tracking relations"]) > 60
    prepare(prepared.pair.settings(), key_vault.client)
    prepare(prepared.pair.settings(), key_vault.client)
    assert snapshot(prepared.pair) == before
    assert key_vault.writes == ["webhook-encryption-key", "crypto-kek-passphrase"]


def test_an_older_database_is_migrated_after_a_restore_point_that_services_cannot_see(
    clone: Callable[[], Pair], key_vault: KeyVault, log: pytest.LogCaptureFixture
) -> None:
    pair = clone()
    older, head = step_back(pair, pair.tracking), schema.expected_revision()
    assert pair.as_admin(pair.tracking, "SELECT to_regclass('job_locks')") == [(None,)]
    prepare(pair.settings(), key_vault.client)
    assert pair.as_admin(pair.tracking, RESTORE_POINTS) == [(older, head, "3.17.2")]
    age = pair.as_admin(pair.tracking, "SELECT now() - recorded_at < '1 minute' FROM prepare.restore_points")
    assert age == [(True,)]
    assert pair.as_admin(pair.registry, "SELECT to_regclass('prepare.restore_points')") == [(None,)]
    assert f"migrate {pair.tracking}: {older} -> {head}" in log.text
    assert f"migrate {pair.registry}: already at {head}" in log.text
    for role in ("mlflow-tracking", "mlflow-registry"):
        rights = (
            f"SELECT has_schema_privilege('{role}', 'prepare', 'USAGE'), "
            f"has_table_privilege('{role}', 'job_locks', 'SELECT')"
        )
        assert pair.as_admin(pair.tracking, rights) == [(False, True)]
    before = snapshot(pair)
    prepare(pair.settings(), key_vault.client)
    assert snapshot(pair) == before
    assert len(pair.as_admin(pair.tracking, RESTORE_POINTS)) == 1


def test_a_database_ahead_of_the_image_is_refused_before_any_is_migrated(
    clone: Callable[[], Pair], key_vault: KeyVault
) -> None:
    pair = clone()
    older = step_back(pair, pair.tracking)
    pair.as_admin(pair.registry, "UPDATE alembic_version SET version_num = 'ffff00001111'")
    with pytest.raises(StepFailed) as failure:
        prepare(pair.settings(), key_vault.client)
    message = str(failure.value)
    for part in (
        "revision ffff00001111",
        "newer image migrated it",
        "old replicas keep serving",
        "deploy that newer image",
    ):
        assert part in message
    assert "already migrated" not in message
    assert pair.as_admin(pair.tracking, "SELECT version_num FROM alembic_version") == [(older,)]
    assert pair.as_admin(pair.tracking, "SELECT to_regclass('prepare.restore_points')") == [(None,)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("CREATE TABLE invoices (id int)", "holds tables: invoices"),
        (
            "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('a'), ('b')",
            "2 schema",
        ),
    ],
)
def test_a_database_that_is_not_mlflows_is_refused(fresh: Pair, key_vault: KeyVault, spoil: str, words: str) -> None:
    fresh.server.run("postgres", "mlflow-prepare", f"CREATE DATABASE {fresh.tracking}")
    fresh.as_admin(fresh.tracking, spoil, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
    with pytest.raises(StepFailed, match=words):
        prepare(fresh.settings(), key_vault.client)


def test_a_database_of_another_owner_is_refused(fresh: Pair, key_vault: KeyVault) -> None:
    fresh.as_admin("postgres", f"CREATE DATABASE {fresh.registry}")
    with pytest.raises(StepFailed, match=f"'{fresh.registry}' \\(owner 'postgres'\\)(.|\n)*ALTER DATABASE"):
        prepare(fresh.settings(), key_vault.client)
    names = [name for (name,) in fresh.as_admin("postgres", "SELECT datname FROM pg_database")]
    assert fresh.registry in names
    assert fresh.tracking not in names


def test_states_that_a_killed_first_run_leaves_are_completed(fresh: Pair, key_vault: KeyVault) -> None:
    for database in (fresh.tracking, fresh.registry):
        fresh.server.run("postgres", "mlflow-prepare", f"CREATE DATABASE {database}")
    InitialModels.metadata.create_all(engine(fresh.settings().admin_url, fresh.tracking))
    prepare(fresh.settings(), key_vault.client)
    assert fresh.as_admin(fresh.tracking, "SELECT version_num FROM alembic_version") == [(schema.expected_revision(),)]


def test_killed_in_the_middle_of_a_migration_it_changed_nothing_and_the_next_run_completes(
    clone: Callable[[], Pair], key_vault: KeyVault, log: pytest.LogCaptureFixture
) -> None:
    pair = clone()
    older = step_back(pair, pair.tracking)
    # The migration makes a table, then needs `jobs`, which this session keeps: it stands in the middle.
    blocker = pair.server.connect(pair.tracking, "postgres")
    blocker.autocommit = False
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")  # others may read
    process = pair.process()
    waiting = (
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until(lambda: bool(pair.as_admin(pair.tracking, waiting)), "the migration waits for the table")
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert pair.as_admin(pair.tracking, waiting) == [(APPLICATION_NAME,)]
    assert "restore point of" in output
    assert pair.as_admin(pair.tracking, "SELECT version_num FROM alembic_version") == [(older,)]
    assert pair.as_admin(pair.tracking, "SELECT to_regclass('scheduler_leases')") == [(None,)]

    with lock.exclusive(engine(pair.settings().admin_url, "postgres"), within=30) as connection:
        assert lock.end_leftovers(connection, [pair.tracking, pair.registry]) == 1  # it still waits for `jobs`
    assert pair.as_admin(pair.tracking, waiting) == []
    blocker.close()
    prepare(pair.settings(), key_vault.client)
    assert pair.as_admin(pair.tracking, RESTORE_POINTS) == [(older, schema.expected_revision(), "3.17.2")] * 2
    assert pair.as_admin(pair.tracking, "SELECT version_num FROM alembic_version") == [(schema.expected_revision(),)]


def test_killed_in_the_middle_of_the_first_creation_the_next_run_completes(fresh: Pair, key_vault: KeyVault) -> None:
    process = fresh.process()
    writing = "SELECT datname FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
    until(lambda: (fresh.tracking,) in fresh.as_admin("postgres", writing), "the first migration writes")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    prepare(fresh.settings(), key_vault.client)
    for database in (fresh.tracking, fresh.registry):
        assert fresh.as_admin(database, "SELECT version_num FROM alembic_version") == [(schema.expected_revision(),)]


def test_a_failure_after_a_migration_says_which_database_is_migrated(
    clone: Callable[[], Pair], key_vault: KeyVault
) -> None:
    pair = clone()
    older = step_back(pair, pair.tracking)
    pair.as_admin(pair.tracking, "DELETE FROM experiments")
    pair.as_admin(pair.tracking, "ALTER TABLE experiments ADD CHECK (name <> 'Default')")
    with pytest.raises(StepFailed) as failure:
        prepare(pair.settings(), key_vault.client)
    assert "step 'default rows'" in str(failure.value)
    assert f"already migrated: {pair.tracking}, which serves replicas that need {older} too" in str(failure.value)


def test_a_prepare_of_another_release_holds_the_same_lock(prepared: Prepared) -> None:
    """Two releases meet in every upgrade and rollback: with another key both would migrate one database at once."""
    admin = engine(prepared.pair.settings().admin_url, "postgres")
    with closing(prepared.pair.server.connect("postgres", "postgres")) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7884789663531478384)")
        with pytest.raises(PrepareError, match="still held the lock"), lock.exclusive(admin, within=0):
            pass


def test_a_lock_that_stays_held_ends_the_wait(prepared: Prepared, key_vault: KeyVault) -> None:
    admin = engine(prepared.pair.settings().admin_url, "postgres")
    with lock.exclusive(admin, within=5), pytest.raises(StepFailed, match=r"another prepare \(session \d+, since"):
        prepare(prepared.pair.settings(wait_seconds=1), key_vault.client)
    with lock.exclusive(admin, within=0):  # free again
        pass


def test_leftovers_are_only_sessions_of_prepare_in_the_given_databases(prepared: Prepared) -> None:
    pair = prepared.pair
    admin = engine(pair.settings().admin_url, "postgres")
    with lock.exclusive(admin, within=5) as connection, admin.connect() as other:
        assert lock.end_leftovers(connection, [pair.tracking]) == 0
        assert other.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.parametrize(
    ("answer", "ends"),
    [("NOT pg_catalog.pg_terminate_backend($1, $2)", True), ("false", False)],
    ids=["ended by itself before", "does not end"],
)
def test_a_leftover_that_cannot_be_terminated_is_named_unless_it_has_ended(
    prepared: Prepared, answer: str, ends: bool
) -> None:
    """PostgreSQL's function is replaced for one session: nobody else can end one just before it."""
    pair = prepared.pair
    schema_of_test = f"answers_{ends}".lower()
    pair.as_admin("postgres", f"CREATE SCHEMA {schema_of_test}")
    pair.as_admin("postgres", f"GRANT USAGE ON SCHEMA {schema_of_test} TO PUBLIC")
    function = f"{schema_of_test}.pg_terminate_backend(int, bigint)"
    pair.as_admin("postgres", f"CREATE FUNCTION {function} RETURNS bool LANGUAGE sql AS 'SELECT {answer}'")
    url = pair.settings().admin_url
    with lock.exclusive(engine(url, "postgres"), within=5) as connection, engine(url, pair.tracking).connect() as left:
        (pid,) = left.execute(text("SELECT pg_backend_pid()")).one()
        connection.execute(text(f"SET search_path = {schema_of_test}, pg_catalog"))
        if ends:
            assert lock.end_leftovers(connection, [pair.tracking]) == 1
        else:
            with pytest.raises(PrepareError, match=rf"sessions \[{pid}\] of an earlier prepare did not end"):
                lock.end_leftovers(connection, [pair.tracking])
        left.invalidate()


def test_no_database_is_a_clear_error_after_a_bounded_wait(prepared: Prepared, key_vault: KeyVault) -> None:
    settings = prepared.pair.settings(wait_seconds=1)
    nowhere = type(settings)(**{**vars(settings), "admin_url": settings.admin_url.set(port=1)})
    with pytest.raises(StepFailed, match=r"127.0.0.1:1 as 'mlflow-prepare'(.|\n)*Connection refused(.|\n)*Entra admin"):
        prepare(nowhere, key_vault.client)


def test_teams_get_a_workspace_and_none_with_data_is_left_out(
    clone: Callable[[], Pair], key_vault: KeyVault, log: pytest.LogCaptureFixture
) -> None:
    pair = clone()
    teams = replace(pair.settings(), teams=("team-a", "team-b"))
    prepare(teams, key_vault.client)
    assert "teams: created team-a, team-b" in log.text
    insert = "INSERT INTO experiments (name, lifecycle_stage, workspace) VALUES ('e', 'active', 'team-a')"
    pair.as_admin(pair.tracking, insert)
    pair.as_admin(pair.registry, "INSERT INTO registered_models (workspace, name) VALUES ('team-b', 'm')")

    with pytest.raises(StepFailed) as refused:
        prepare(pair.settings(), key_vault.client)
    assert "(team-a has 1 experiments; team-b has 1 registered_models)" in str(refused.value)
    assert "next: set access.mode to entra and teams to team-a, team-b;" in str(refused.value)
    with pytest.raises(StepFailed, match="team-b has 1 registered_models"):
        prepare(replace(pair.settings(), teams=("team-a",)), key_vault.client)
    log.clear()
    prepare(teams, key_vault.client)
    assert "teams: present" in log.text


def test_what_mlflow_keeps_of_a_deleted_thing_keeps_no_team(clone: Callable[[], Pair], key_vault: KeyVault) -> None:
    pair = clone()
    prepare(replace(pair.settings(), teams=("team-a",)), key_vault.client)
    columns = "(workspace, webhook_id, name, url, status, secret, creation_timestamp, last_updated_timestamp)"
    insert = "VALUES ('team-a', 'w', 'hook', 'https://example.com', 'ACTIVE', 's', 1, 1)"
    pair.as_admin(pair.registry, f"INSERT INTO webhooks {columns} {insert}")
    with pytest.raises(StepFailed, match="team-a has 1 webhooks"):
        prepare(pair.settings(), key_vault.client)
    pair.as_admin(pair.registry, "UPDATE webhooks SET deleted_timestamp = 2")
    prepare(pair.settings(), key_vault.client)
