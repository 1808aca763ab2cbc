"""What was stored is compared with what was acknowledged, thing by thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from delivery.bench import data
from delivery.bench.load import SPANS, Acknowledged, Values
from delivery.bench.plan import stores
from delivery.bench.store import ReadBack, Sqlite, compare, stored, twice
from delivery.bench.values import Remembered, compared, remembered

RUN = {"metrics": 70, "params": 5, "finished": 1}
ALL = Acknowledged(runs={"a": RUN, "b": RUN}, traces=["0a", "0b"], artifacts={"0.bin": 1024})
TABLES = """
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name, source_type, source_name, entry_point_name, user_id, status,
                   start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id INTEGER);
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan,
                      PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE latest_metrics (key, value, timestamp, step, is_nan, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE params (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE tags (key, value, run_uuid, PRIMARY KEY (key, run_uuid));
CREATE TABLE spans (trace_id, span_id, experiment_id INTEGER)
"""


def without_one(kind: str) -> Acknowledged:
    return replace(ALL, runs={**ALL.runs, "b": {**RUN, kind: RUN[kind] - 1}})


def test_all_that_was_acknowledged_and_nothing_else_is_there() -> None:
    assert compare(ALL, ALL) == ReadBack(acknowledged=1180, stored=1180, lost=0, beyond={})


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        (without_one("metrics"), 1),
        (without_one("params"), 1),
        (without_one("finished"), 1),
        (replace(ALL, runs={"a": RUN}), 77),
        (replace(ALL, traces=["0a"]), 1),
        (replace(ALL, artifacts={"0.bin": 1000}), 24),
        (replace(ALL, artifacts={}), 1024),
    ],
)
def test_whatever_is_missing_is_lost(found: Acknowledged, lost: int) -> None:
    assert compare(ALL, found).lost == lost


def test_one_too_many_of_a_run_does_not_hide_what_another_lost() -> None:
    found = replace(ALL, runs={"a": {**RUN, "metrics": 71}, "b": {**RUN, "metrics": 69}})
    assert compare(ALL, found) == ReadBack(acknowledged=1180, stored=1180, lost=1, beyond={"metrics": 1})


@pytest.mark.parametrize(
    ("beyond", "failed", "unanswered", "found"),
    [
        ({"run": 1}, {}, 0, 1),
        ({"run": 1}, {"create": 1}, 0, 0),
        ({"run": 3}, {"log-metric": 40}, 0, 3),
        ({"metrics": 51}, {"log-metric": 1, "log-batch": 1}, 0, 0),
        ({"metrics": 53}, {"log-batch": 1, "get-run": 9}, 0, 3),
        ({"metrics": 1}, {"log-parameter": 1}, 0, 1),
        ({"metrics": 50, "params": 1}, {}, 2, 0),
        ({"metrics": 51, "params": 1}, {}, 2, 1),
        ({"artifact": 2**20 + 1}, {"upload": 1}, 0, 1),
    ],
)
def test_a_failed_request_explains_what_its_call_stores_and_nothing_of_another_kind(
    beyond: dict[str, int], failed: dict[str, int], unanswered: int, found: int
) -> None:
    assert twice(beyond, failed, unanswered, stores("logging", 2**20)) == found


RUNS = [data.run(7, number) for number in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Sqlite:
    made = Sqlite(file=tmp_path / "mlflow.db")
    made.write(*TABLES.split(";"))
    return made


def test_an_experiment_is_read_back_run_by_run(store: Sqlite) -> None:
    store.write(*data.statements(7, runs=3, points=20))
    store.write(*data.statements(8, runs=2, points=5))
    store.write(f"DELETE FROM params WHERE key = 'seed' AND run_uuid = '{RUNS[1]}'")  # noqa: S608
    store.write(f"UPDATE runs SET status = 'RUNNING' WHERE run_uuid = '{RUNS[2]}'")  # noqa: S608
    store.write(*["INSERT INTO spans VALUES ('tr-0a', 's', 7), ('tr-0c', 's', 8)"] * SPANS)
    store.write("INSERT INTO spans VALUES ('tr-0b', 's', 7)")
    assert stored(store, "7") == Acknowledged(
        runs={
            RUNS[0]: {"metrics": 23, "params": 2, "finished": 1},
            RUNS[1]: {"metrics": 3, "params": 1, "finished": 1},
            RUNS[2]: {"metrics": 3, "params": 2, "finished": 0},
        },
        traces=["0a"],  # of the other a span is missing
    )


def test_the_runs_to_read_are_found_by_the_searches_of_the_load(store: Sqlite) -> None:
    store.write(*data.statements(7, runs=100, points=1))
    assert len(store.read("SELECT 1 FROM params WHERE key = 'optimizer' AND value = 'adam'")) == 34
    assert 30 < len(store.read("SELECT 1 FROM latest_metrics WHERE key = 'loss' AND value < 0.5")) < 70
    assert len(store.read("SELECT 1 FROM tags WHERE key = 'team' AND value = 'team-3'")) == 10
    assert len(store.read("SELECT 1 FROM runs WHERE lifecycle_stage = 'active'")) == 100


WANTED = Values(metrics=[("loss", 0, 1.0), ("loss", 1, 0.5)], params=[("parameter-0", "0")])
REMEMBERED = Remembered(
    metrics={"loss": [(0, 10, 1.0), (1, 11, 0.5)]}, latest={"loss": (1, 11, 0.5)}, params={"parameter-0": "0"}
)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            replace(REMEMBERED, metrics={"loss": [(0, 10, 1.0), (1, 11, 0.25)]}, latest={"loss": (1, 11, 0.25)}),
            "[0.25]",
        ),
        (replace(REMEMBERED, metrics={"loss": [(0, 10, 1.0)]}, latest={"loss": (0, 10, 1.0)}), "step 1 is missing"),
        (replace(REMEMBERED, metrics={"loss": [(0, 10, 1.0), (2, 11, 0.5)]}, latest={"loss": (2, 11, 0.5)}), "step 1"),
        (replace(REMEMBERED, latest={"loss": (0, 10, 1.0)}), "the latest loss is (0, 10, 1.0)"),
        (replace(REMEMBERED, latest={}), "the latest loss is None"),
        (replace(REMEMBERED, params={"parameter-0": "1"}), "parameter parameter-0 is '1'; acknowledged was '0'"),
        (replace(REMEMBERED, params={}), "parameter parameter-0 is None"),
    ],
    ids=["value", "row", "step", "latest", "no latest", "parameter", "no parameter"],
)
def test_a_value_that_is_not_there_as_it_was_acknowledged_is_found(found: Remembered, said: str) -> None:
    (line,) = compared({"a": WANTED}, {"a": found})[1]
    assert said in line


def test_values_that_are_there_and_more_of_them_are_no_difference() -> None:
    assert compared({"a": WANTED}, {"a": REMEMBERED}) == (4, [])
    more = {"loss": [*REMEMBERED.metrics["loss"], (2, 12, 0.3)]}
    assert compared({"a": WANTED}, {"a": replace(REMEMBERED, metrics=more, latest={"loss": (2, 12, 0.3)})}) == (4, [])
    assert len(compared({"a": WANTED}, {})[1]) == 3


def test_values_are_read_of_the_runs_that_are_asked_for(store: Sqlite) -> None:
    store.write(*data.statements(7, runs=2, points=2))
    # Two points of a history beside the first, of which the table of the latest knows nothing.
    found = remembered(store, [RUNS[0], RUNS[1]])
    loss = 7919 % 1000 / 1000.0
    assert found[RUNS[1]].metrics["loss"] == [(0, 1_700_000_000_001, loss)]
    assert found[RUNS[1]].latest["loss"] == (0, 1_700_000_000_001, loss)
    assert found[RUNS[1]].params == {"optimizer": "sgd", "seed": "1"}
    assert [line for line in compared({RUNS[0]: Values()}, found)[1] if "the latest loss is (0," in line]
