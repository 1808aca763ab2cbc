"""The platform's own indexes: made once, made again after a kill, and used by MLflow's own searches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg2
import pytest
from azure.core.exceptions import ClientAuthenticationError
from mlflow.entities import ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import NullPool, create_engine, event

from mlflow_runtime.prepare import indexes
from mlflow_runtime.prepare.connection import engine
from tests.runtime.prepare.pairs import Pair, Prepared

FILL = (
    "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage, artifact_uri, "
    "experiment_id) SELECT md5(i::text), 'run', 'UNKNOWN', 'somebody', 'FINISHED', 1700000000000 + i, 'active', "
    "'mlflow-artifacts:/0', 0 FROM generate_series(1, 20000) AS i",
    "INSERT INTO tags (key, value, run_uuid) SELECT 'team', 'team-' || i % 10, md5(i::text) "
    "FROM generate_series(1, 20000) AS i",
    "ANALYZE",
)


def present(pair: Pair) -> list[tuple[object, ...]]:
    return pair.as_admin(
        pair.tracking,
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indexrelid::regclass::text LIKE 'platform_%' ORDER BY 1",
    )


WHOLE = [(name, True) for name in sorted(indexes.TRACKING)]
BY_START_TIME, LATEST = indexes.TRACKING


def test_prepare_makes_them_and_finds_them(prepared: Prepared, clone: Callable[[], Pair]) -> None:
    assert present(prepared.pair) == WHOLE
    assert sum(f"indexes: created {BY_START_TIME}" in output for output in prepared.outputs) == 1
    assert sum("indexes: present" in output for output in prepared.outputs) == 1
    pair = clone()
    target = engine(pair.settings().admin_url, pair.tracking)
    # What a killed CREATE INDEX CONCURRENTLY leaves, what somebody dropped, and what another image made.
    pair.as_admin(
        pair.tracking,
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{LATEST}'::regclass",  # noqa: S608
        f"DROP INDEX {BY_START_TIME}",
        "CREATE INDEX platform_runs_latest_of_another_image ON runs (start_time)",
        "CREATE TABLE platform_table (id int PRIMARY KEY)",
    )
    found = indexes.ensure(target)
    assert (found.created, found.missing) == (list(indexes.TRACKING), [])
    assert str(found).endswith("; dropped platform_runs_latest_of_another_image")
    assert [each for each in present(pair) if each != ("platform_table_pkey", True)] == WHOLE
    assert str(indexes.ensure(target)) == "present"


def test_another_definition_has_another_name() -> None:
    assert len({*indexes.named({"a": "runs (user_id)"}), *indexes.named({"a": "runs (name)"})}) == 2


def test_one_that_cannot_be_made_leaves_nothing_and_the_others_are_made(
    clone: Callable[[], Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pair = clone()
    pair.as_admin(pair.tracking, FILL[0])
    # The build of the second begins and fails, after which PostgreSQL keeps an invalid index.
    of = {"platform_no": "runs (removed)", "platform_half": "runs ((1 / (length(run_uuid) - 32)))"}
    monkeypatch.setattr(indexes, "TRACKING", {**of, "platform_more": "runs (user_id)"})
    with caplog.at_level(logging.WARNING):
        found = indexes.ensure(engine(pair.settings().admin_url, pair.tracking))
    assert str(found) == "created platform_more; not created platform_no, platform_half"
    assert 'index platform_no was not created (column "removed" does not exist' in caplog.text
    # An image's index that may serve instead stays.
    assert present(pair) == [("platform_more", True), *WHOLE]


@contextmanager
def writing(pair: Pair) -> Iterator[Callable[[], None]]:
    """A transaction that has written to the table of runs; what it yields ends it."""
    with closing(pair.server.connect(pair.tracking, "postgres")) as connection:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE runs IN ROW EXCLUSIVE MODE")
            yield connection.rollback


def test_a_transaction_that_outlives_the_lock_timeout_is_waited_for(clone: Callable[[], Pair]) -> None:
    pair = clone()
    pair.as_admin(pair.tracking, f"DROP INDEX {LATEST}")
    admin_url = pair.settings().admin_url
    target = create_engine(
        admin_url.set(database=pair.tracking).update_query_dict({"options": "-c lock_timeout=1ms"}), poolclass=NullPool
    )
    waits = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
    with writing(pair) as end, ThreadPoolExecutor() as threads:
        found = threads.submit(indexes.ensure, target)
        while not (found.done() or pair.as_admin("postgres", waits)):
            time.sleep(0.01)
        time.sleep(0.1)
        end()
        assert str(found.result(timeout=60)) == f"created {LATEST}"
    assert present(pair) == WHOLE


def test_a_transaction_without_an_end_ends_the_build_and_not_the_prepare(
    clone: Callable[[], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = clone()
    pair.as_admin(pair.tracking, f"DROP INDEX {LATEST}")
    monkeypatch.setattr(indexes, "BUILD_SECONDS", 0.3)
    monkeypatch.setattr(indexes, "DROP_SECONDS", 0.3)
    target = engine(pair.settings().admin_url, pair.tracking)
    with writing(pair):
        assert str(indexes.ensure(target)) == f"not created {LATEST}"
    monkeypatch.undo()
    assert str(indexes.ensure(target)) == f"created {LATEST}"
    assert present(pair) == WHOLE


def test_a_database_that_is_away_fails_no_prepare() -> None:
    for error in (ClientAuthenticationError("no token"), psycopg2.OperationalError("failover")):
        target = create_engine("postgresql+psycopg2://", creator=Mock(side_effect=error))
        assert indexes.ensure(target).missing == [*indexes.TRACKING]


@pytest.mark.parametrize(
    ("search", "order", "index"),
    [
        ("", ["attributes.start_time DESC"], BY_START_TIME),
        ("tags.team = 'team-3'", ["attributes.start_time DESC"], BY_START_TIME),
        ("", [], LATEST),
    ],
    ids=["as the pages ask", "by a tag", "as clients ask"],
)
def test_searches_of_mlflow_read_the_runs_in_their_order(
    filled: Pair, tmp_path: Path, search: str, order: list[str], index: str
) -> None:
    with_index, answer = plan_of(filled, tmp_path, search, order)
    assert f"Index Scan using {index} on runs" in with_index
    # The answer has them, the latest first.
    assert len(answer) == 100
    assert answer == sorted(answer, reverse=True)


@pytest.fixture(scope="module")
def filled(clone: Callable[[], Pair]) -> Pair:
    pair = clone()
    pair.as_admin(pair.tracking, *FILL)
    return pair


def plan_of(pair: Pair, folder: Path, search: str, order: list[str]) -> tuple[str, list[int]]:
    """How PostgreSQL carries out MLflow's own statement of a search, and the start times in its answer."""
    url = f"postgresql+psycopg2://postgres@127.0.0.1:{pair.server.port}/{pair.tracking}"
    store = SqlAlchemyStore(url, str(folder))
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    runs: Sequence[Any] = store.search_runs(["0"], search, ViewType.ACTIVE_ONLY, 100, order)
    event.remove(store.engine, "before_cursor_execute", note)
    (statement, parameters) = next(each for each in sent if "DISTINCT" in each[0])
    with store.engine.connect() as connection:
        lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    store._dispose_engine()
    return "\n".join(lines), [run.info.start_time for run in runs]
