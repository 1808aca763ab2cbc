"""The platform's own indexes: made once, made again after a kill, and used by MLflow's own searches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event

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


def test_prepare_makes_them_and_finds_them(prepared: Prepared, clone: Callable[[], Pair]) -> None:
    assert present(prepared.pair) == WHOLE
    assert sum("indexes: created platform_runs_by_start_time" in output for output in prepared.outputs) == 1
    assert sum("indexes: present" in output for output in prepared.outputs) == 1
    pair = clone()
    target = engine(pair.settings().admin_url, pair.tracking)
    # What a killed CREATE INDEX CONCURRENTLY leaves, and what somebody dropped.
    pair.as_admin(
        pair.tracking,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'platform_runs_latest'::regclass",
        "DROP INDEX platform_runs_by_start_time",
    )
    assert indexes.ensure(target) == list(indexes.TRACKING)
    assert present(pair) == WHOLE
    assert indexes.ensure(target) == []


def test_one_that_cannot_be_made_is_logged_and_the_others_are_made(
    clone: Callable[[], Pair], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pair = clone()
    monkeypatch.setattr(indexes, "TRACKING", {"platform_other": "runs (removed)", "platform_more": "runs (user_id)"})
    with caplog.at_level(logging.WARNING):
        assert indexes.ensure(engine(pair.settings().admin_url, pair.tracking)) == ["platform_more"]
    assert 'index platform_other was not made (column "removed" does not exist' in caplog.text


@pytest.mark.parametrize(
    ("search", "order", "index"),
    [
        ("", ["attributes.start_time DESC"], "platform_runs_by_start_time"),
        ("tags.team = 'team-3'", ["attributes.start_time DESC"], "platform_runs_by_start_time"),
        ("", [], "platform_runs_latest"),
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
