"""The lines of metrics in a replica's log: what they hold, over restarts too, and when they are written."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlflow_runtime.logs import JsonFormatter
from mlflow_runtime.metrics import snapshot
from mlflow_runtime.metrics.snapshot import Journal, Totals, since, totals, until_next

KEPT = {"done_total": ("status",), "now": (), "took_seconds": ()}


class Process:
    """What a process counts from its start on."""

    def __init__(self, started: float = 1) -> None:
        self.registry = CollectorRegistry()
        Gauge("process_start_time_seconds", "-", registry=self.registry).set(started)
        self.done = Counter("done", "-", ("method", "status"), registry=self.registry)
        self.now = Gauge("now", "-", registry=self.registry)
        self.took = Histogram("took_seconds", "-", ("method",), buckets=(0.1, 1), registry=self.registry)

    def totals(self) -> Totals:
        return totals(self.registry.collect(), KEPT)


def test_a_line_has_what_grew_and_what_is_added_up_over_labels_that_are_not_kept() -> None:
    process = Process()
    process.done.labels("GET", "200").inc(3)
    process.done.labels("PUT", "200").inc(2)
    process.done.labels("PUT", "500").inc()
    before = process.totals()
    process.done.labels("GET", "200").inc(4)
    process.now.set(2.5)
    for method, seconds in (("GET", 0.05), ("PUT", 0.05), ("PUT", 0.5), ("GET", 30)):
        process.took.labels(method).observe(seconds)
    rows = since(before, process.totals())
    assert rows["done_total"] == [{"status": "200", "n": 4}, {"status": "500", "n": 0}]
    assert rows["now"] == [{"n": 2.5}]
    assert rows["took_seconds"] == [
        {"over": 0, "le": 0.1, "n": 2},
        {"over": 0.1, "le": 1, "n": 1},
        {"over": 1, "le": 1, "n": 1},
    ]


def test_a_scraped_process_and_one_that_looks_at_itself_give_the_same() -> None:
    process = Process()
    process.done.labels("GET", "200").inc(3)
    process.took.labels("GET").observe(0.5)
    text = generate_latest(process.registry).decode()
    assert totals(text_string_to_metric_families(text), KEPT) == process.totals()


COUNTS = st.dictionaries(st.sampled_from(["200", "404", "500"]), st.integers(0, 50), max_size=3)


@given(st.lists(st.lists(COUNTS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_over_restarts_the_lines_add_up_to_what_was_counted(lives: list[list[Mapping[str, int]]]) -> None:
    before, reported, counted = Totals(), 0.0, 0
    for number, life in enumerate(lives):
        process = Process(started=number)
        for step in life:
            for status, count in step.items():
                process.done.labels("GET", status).inc(count)
                counted += count
            now = process.totals()
            reported += sum(float(row["n"]) for row in since(before, now).get("done_total", []))
            before = now
    assert reported == counted


def test_a_counter_that_went_back_has_restarted() -> None:
    first, second = Process(), Process()
    first.done.labels("GET", "200").inc(10)
    second.done.labels("GET", "200").inc(4)
    second.took.labels("GET").observe(0.5)
    rows = since(first.totals(), second.totals())
    assert rows["done_total"] == [{"status": "200", "n": 4}]
    assert rows["took_seconds"] == [{"over": 0.1, "le": 1, "n": 1}]


def test_of_another_process_all_counts_however_much_it_is() -> None:
    first, second = Process(started=1), Process(started=2)
    first.done.labels("GET", "200").inc(10)
    second.done.labels("GET", "200").inc(11)
    assert since(first.totals(), second.totals())["done_total"] == [{"status": "200", "n": 11}]


@given(st.floats(0, 2e9), st.sampled_from([5, 60, 300]), st.lists(st.floats(0.001, 3), min_size=1, max_size=5))
def test_lines_are_written_at_whole_multiples_and_never_two_at_once(
    now: float, seconds: int, late: list[float]
) -> None:
    times = [now]
    for delay in late:
        times.append(times[-1] + until_next(times[-1], seconds) + delay)
    for earlier, later in pairwise(times):
        assert later - earlier >= seconds / 2
        assert later - earlier <= 1.5 * seconds + 3 + 1e-6
    for moment, delay in zip(times[1:], late, strict=True):
        assert (moment - delay + 1e-3) % seconds < 2e-3


def test_the_first_line_is_of_all_since_the_start_and_the_last_is_written_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), snapshot.journal(300):
        assert caplog.records == []
    (record,) = caplog.records
    line = json.loads(JsonFormatter("tracking").format(record))
    assert (line["logger"], line["role"], line["level"]) == ("mlflow_runtime.metrics", "tracking", "INFO")
    assert set(line) == {"time", "level", "logger", "message", "role", "seconds", "metrics"}
    assert line["metrics"]["process_resident_memory_bytes"][0]["n"] > 1_000_000
    assert set(line["metrics"]) <= set(snapshot.KEPT)


def test_a_line_that_cannot_be_written_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def collect() -> list[Metric]:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("changed while it was read")
        return []

    waits = iter([False, False, True])
    with caplog.at_level(logging.INFO):
        snapshot._work(lambda _: next(waits), Journal(collect), 60)
    assert [record.getMessage() for record in caplog.records] == ["no line of metrics could be written", "metrics"]
