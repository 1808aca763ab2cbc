"""What an upgrade means for replicas of the older image: declared, failed, and undone."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as mlflow_db
from mlflow.store.model_registry import sqlalchemy_store as registry_store
from mlflow.store.tracking import sqlalchemy_store as tracking_store
from sqlalchemy import Engine

from mlflow_runtime.database.revisions import Revisions
from mlflow_runtime.patches import schema_verification
from mlflow_runtime.prepare import connection, schema
from mlflow_runtime.prepare.connection import engine
from mlflow_runtime.prepare.steps import StepFailed, prepare
from mlflow_runtime.schema import declaration, history
from mlflow_runtime.schema.comparison import served_on
from mlflow_runtime.schema.declaration import Declaration
from mlflow_runtime.service import probes
from mlflow_runtime.service.health import NotReadyError
from tests.runtime.prepare.pairs import Pair
from tests.runtime.prepare.snapshot import snapshot
from tests.runtime.prepare.test_runs import RESTORE_POINTS, step_back
from tests.support.servers import KeyVault

HEAD = schema.expected_revision()


def of_image(head: str) -> Revisions:
    """What an image knows whose MLflow ends at `head`."""
    known = history.known()
    line = known.migrations[: known.position(head) + 1]
    return Revisions(head=head, known=frozenset(one.revision for one in line))


def probe(pair: Pair, head: str) -> probes.DatabaseProbe:
    """The readiness probe of a tracking replica of such an image, as its own role."""
    url = engine(pair.settings().admin_url, pair.tracking).url.set(username="mlflow-tracking")
    return probes.DatabaseProbe(url, of_image(head), lambda: None)


def declared(target: Engine) -> Declaration | None:
    with target.connect() as opened:
        return declaration.read(opened).declaration


def declare(target: Engine, revision: str, *serves: str) -> None:
    with target.begin() as opened:
        declaration.write(opened, Declaration(revision=revision, serves=frozenset(serves)))


def test_prepare_declares_the_versions_that_the_schema_serves_and_replicas_of_the_older_image_start_on_it(
    clone: Callable[[], Pair], key_vault: KeyVault
) -> None:
    pair = clone()
    target = engine(pair.settings().admin_url, pair.tracking)
    older = step_back(pair, pair.tracking)
    assert probe(pair, older)() is None
    prepare(pair.settings(), key_vault.client)
    served = served_on(history.known(), HEAD)
    assert older in served
    assert declared(target) == Declaration(revision=HEAD, serves=frozenset(served))
    assert f"the newer revision {HEAD}, which is declared to serve {older}" in (probe(pair, older)() or "")
    assert probe(pair, HEAD)() is None


def test_a_replica_whose_code_the_schema_breaks_serves_on_but_does_not_start(
    clone: Callable[[], Pair], key_vault: KeyVault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="mlflow_runtime.prepare")
    pair = clone()
    step_back(pair, pair.tracking)
    older = step_back(pair, pair.tracking)
    running = probe(pair, older)
    assert running() is None
    prepare(pair.settings(), key_vault.client)
    assert f"{older} -> {HEAD}, where replicas that need {older} serve what they can" in caplog.text
    assert f"moved on to revision {HEAD}" in (running() or "")
    with pytest.raises(NotReadyError) as refused:
        probe(pair, older)()
    for words in (HEAD, f"needs {older}, its newest of", "others, but not that one", "deploy the newer image"):
        assert words in str(refused.value)


def test_a_declaration_about_another_revision_serves_nobody(clone: Callable[[], Pair]) -> None:
    pair = clone()
    target = engine(pair.settings().admin_url, pair.tracking)
    older = step_back(pair, pair.tracking)
    oldest = step_back(pair, pair.tracking)
    declare(target, HEAD, oldest)  # as before a migration that then failed
    with pytest.raises(NotReadyError, match="run prepare of this image"):
        probe(pair, older)()
    assert probe(pair, oldest)() is None


def test_a_comment_of_somebody_else_is_no_declaration(clone: Callable[[], Pair], key_vault: KeyVault) -> None:
    pair = clone()
    target = engine(pair.settings().admin_url, pair.tracking)
    for comment in ("alembic''s own, 100 %", "[1]", "{}", '{"revision": 1, "serves": 2}'):
        pair.as_admin(pair.tracking, f"COMMENT ON TABLE alembic_version IS '{comment}'")
        assert declared(target) is None
    prepare(pair.settings(), key_vault.client)
    found = declared(target)
    assert found is not None
    assert found.revision == HEAD


def test_a_rollback_finds_the_newer_schema_and_leaves_it_alone(
    clone: Callable[[], Pair],
    key_vault: KeyVault,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, logger="mlflow_runtime.prepare")
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    before = snapshot(pair)
    older = history.known().migrations[-2].revision
    monkeypatch.setattr(schema, "image_revisions", lambda: of_image(older))
    prepare(pair.settings(), key_vault.client)
    assert f"migrate {pair.tracking}: at the newer {HEAD}, which is declared to serve {older}" in caplog.text
    assert snapshot(pair) == before
    found = declared(engine(pair.settings().admin_url, pair.tracking))
    assert found is not None
    assert found.revision == HEAD

    incompatible = history.known().migrations[-3].revision
    monkeypatch.setattr(schema, "image_revisions", lambda: of_image(incompatible))
    with pytest.raises(StepFailed, match=r"not declared to serve it(.|\n)*restore the database"):
        prepare(pair.settings(), key_vault.client)
    assert snapshot(pair) == before


def test_a_failed_migration_is_undone_and_reported_and_leaves_the_old_replicas_serving(
    clone: Callable[[], Pair], key_vault: KeyVault
) -> None:
    pair = clone()
    step_back(pair, pair.tracking)
    older = step_back(pair, pair.tracking)
    running = probe(pair, older)
    # A table of the second of two revisions is there already, made by somebody: the first is undone with it.
    pair.as_admin(pair.tracking, "CREATE TABLE scheduler_leases (id int)")
    with pytest.raises(StepFailed) as failure:
        prepare(pair.settings(), key_vault.client)
    message = str(failure.value)
    for words in (
        f"step 'migrate {pair.tracking}' failed",
        f"was undone, so the schema is at {older} as before",
        'relation "scheduler_leases" already exists',
        "old replicas keep serving",
        "did not make",
        "then run the job again",
    ):
        assert words in message
    assert running() is None
    assert probe(pair, older)() is None  # one that starts now, too
    new = "SELECT to_regclass('job_locks'), to_regclass('sql_trace_rollup_rebuild_queue')"
    assert pair.as_admin(pair.tracking, new) == [(None, None)]
    pair.as_admin(pair.tracking, "DROP TABLE scheduler_leases")
    prepare(pair.settings(), key_vault.client)
    assert pair.as_admin(pair.tracking, RESTORE_POINTS) == [(older, HEAD, "3.17.2")] * 2
    assert probe(pair, HEAD)() is None


@pytest.mark.parametrize("mode", ["EXCLUSIVE", "ACCESS EXCLUSIVE"], ids=["others may read", "nobody may read"])
def test_a_table_that_stays_locked_ends_the_migration_with_who_to_look_for(
    mode: str, clone: Callable[[], Pair], key_vault: KeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = clone()
    older = step_back(pair, pair.tracking)
    monkeypatch.setitem(connection._SESSION_OPTIONS, "lock_timeout", "500ms")
    blocker = pair.server.connect(pair.tracking, "postgres")
    blocker.autocommit = False
    with blocker.cursor() as cursor:
        cursor.execute(f"LOCK TABLE jobs IN {mode} MODE")
    with pytest.raises(StepFailed, match=r"lock timeout(.|\n)*end the session that holds the table"):
        prepare(pair.settings(), key_vault.client)
    blocker.close()
    assert pair.as_admin(pair.tracking, "SELECT version_num FROM alembic_version") == [(older,)]


@pytest.fixture
def as_service_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts the guard of an image with that head in place, until the end of the test."""

    def install(head: str) -> None:
        for module, name in (
            (mlflow_db, "_all_tables_exist"),
            (mlflow_db, "_verify_schema"),
            (registry_store, "_all_tables_exist"),
        ):
            monkeypatch.setattr(module, name, getattr(module, name))
        schema_verification.install(of_image(head))

    return install


def open_stores(pair: Pair) -> None:
    """Open both stores of the tracking service, as its role."""
    address = f"postgresql+psycopg2://mlflow-tracking@127.0.0.1:{pair.server.port}"
    tracking_store.SqlAlchemyStore(f"{address}/{pair.tracking}", "mlflow-artifacts:/")._dispose_engine()
    registry_store.SqlAlchemyStore(f"{address}/{pair.registry}")._dispose_engine()


def test_a_service_opens_the_stores_of_a_newer_schema_that_serves_it(
    clone: Callable[[], Pair], key_vault: KeyVault, as_service_of: Callable[[str], None]
) -> None:
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    as_service_of(history.known().migrations[-2].revision)
    open_stores(pair)
    as_service_of(history.known().migrations[-3].revision)
    with pytest.raises(MlflowException, match=f"revision {HEAD}, which this image does not know") as refused:
        open_stores(pair)
    assert refused.value.get_http_status_code() == 503


def test_a_service_that_saw_its_own_schema_opens_further_stores_when_it_moved_on(
    clone: Callable[[], Pair], key_vault: KeyVault, as_service_of: Callable[[str], None]
) -> None:
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    as_service_of(HEAD)
    open_stores(pair)
    for database in (pair.tracking, pair.registry):
        pair.as_admin(database, "UPDATE alembic_version SET version_num = 'ffff00001111'")
    open_stores(pair)
    pair.as_admin(pair.tracking, "UPDATE alembic_version SET version_num = '75868b020152'")
    with pytest.raises(MlflowException, match="run prepare of this image"):
        open_stores(pair)


def test_a_service_opens_no_registry_store_on_a_schema_that_it_does_not_know(
    clone: Callable[[], Pair], key_vault: KeyVault, as_service_of: Callable[[str], None]
) -> None:
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    pair.as_admin(pair.registry, "UPDATE alembic_version SET version_num = 'ffff00001111'")
    as_service_of(HEAD)
    with pytest.raises(MlflowException, match=r"revision ffff00001111.*about which nothing is declared"):
        open_stores(pair)


def test_a_service_makes_no_tables_and_waits_for_prepare(
    clone: Callable[[], Pair], key_vault: KeyVault, as_service_of: Callable[[str], None]
) -> None:
    pair = clone()
    prepare(pair.settings(), key_vault.client)
    as_service_of(HEAD)
    step_back(pair, pair.tracking)
    with pytest.raises(MlflowException, match="run prepare of this image"):
        open_stores(pair)
    pair.as_admin(pair.tracking, "DROP TABLE alembic_version")
    with pytest.raises(MlflowException, match="no schema revision; run prepare"):
        open_stores(pair)
