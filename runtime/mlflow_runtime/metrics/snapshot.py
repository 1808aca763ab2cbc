"""What a replica's log says of its metrics: the series that somebody looks at, one line of JSON every minute.

On Container Apps no replica can be scraped, so what is charted and watched there is read from these lines. A counter is
written as its growth since the line before, and a histogram's bucket likewise. So lines of any replicas and of any
time can be added up, and a process that starts again needs no correction: what it counts begins at nothing. Only what a
process counted after its last line is lost when it is killed; one that is stopped writes a last line.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Metric

from mlflow_runtime.metrics import REGISTRY

KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "mlflow_runtime_info": (),
    "mlflow_http_requests_total": ("status",),
    "mlflow_http_request_duration_seconds": (),
    "mlflow_http_requests_in_flight": (),
    "mlflow_http_requests_limit": (),
    "mlflow_http_requests_shed_total": (),
    "mlflow_database_connections": ("database", "state"),
    "mlflow_database_connections_limit": ("database",),
    "mlflow_database_connections_waited_total": ("database",),
    "mlflow_database_connection_wait_seconds": ("database",),
    "mlflow_identity_tokens_total": ("resource", "outcome"),
    "mlflow_blob_requests_total": ("status",),
    "mlflow_blob_request_duration_seconds": (),
    "mlflow_artifact_blocks": ("direction",),
    "mlflow_artifact_blocks_limit": ("direction",),
    "mlflow_spool_bytes": ("state",),
    "process_resident_memory_bytes": (),
    "process_cpu_seconds_total": (),
}
"""The metrics of a line, by the names of their samples (a histogram's without an ending), and the labels that are kept:
series that differ in others are added up."""

Labels = tuple[tuple[str, str], ...]
Row = dict[str, str | float]
Rows = dict[str, list[Row]]
"""By metric: a row for each series, its labels and `n`, what a counter grew by or a gauge's value. Of a histogram a row
for each bucket that grew: `n` observations above `over` and up to `le`; of the last bucket both are its lower bound."""

_START: Final = "process_start_time_seconds"

_log = logging.getLogger("mlflow_runtime.metrics")


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The kept series of a process at one time. `started` tells it from the process that had its place before."""

    started: float = 0.0
    gauges: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    counters: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    buckets: Mapping[tuple[str, Labels], Mapping[float, float]] = field(default_factory=dict)


def totals(families: Iterable[Metric], kept: Mapping[str, tuple[str, ...]] = KEPT) -> Totals:
    """Add up what a registry collects, or what was parsed of an exposition."""
    started = 0.0
    gauges: dict[tuple[str, Labels], float] = defaultdict(float)
    counters: dict[tuple[str, Labels], float] = defaultdict(float)
    buckets: dict[tuple[str, Labels], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for family in families:
        for item in family.samples:
            if item.name == _START:
                started = item.value
            name = family.name if item.name == f"{family.name}_bucket" else item.name
            if name not in kept:
                continue
            key = (name, tuple((label, item.labels[label]) for label in kept[name]))
            if family.type == "histogram":
                if "le" in item.labels:
                    buckets[key][float(item.labels["le"])] += item.value
            elif family.type == "counter":
                counters[key] += item.value
            else:
                gauges[key] += item.value
    return Totals(started=started, gauges=gauges, counters=counters, buckets=buckets)


def since(before: Totals, now: Totals) -> Rows:
    """What a process tells of the time between the two. Of another process `before` counts as nothing."""
    if before.started != now.started:
        before = Totals()
    rows: Rows = defaultdict(list)
    for (metric, labels), value in now.gauges.items():
        rows[metric].append({**dict(labels), "n": _short(value)})
    for key, value in now.counters.items():
        metric, labels = key
        rows[metric].append({**dict(labels), "n": _short(_growth(before.counters.get(key, 0), value))})
    for key, counts in now.buckets.items():
        metric, labels = key
        grown = _grown(before.buckets.get(key, {}), counts)
        rows[metric] += [{**dict(labels), "over": over, "le": le, "n": _short(n)} for over, le, n in grown]
    return {metric: found for metric, found in rows.items() if found}


def _grown(before: Mapping[float, float], now: Mapping[float, float]) -> Iterator[tuple[float, float, float]]:
    """Lower and upper bound of each bucket that grew, and by how much. Buckets come with all that is below them."""
    over = below = 0.0
    for le in sorted(now):
        upto = _growth(before.get(le, 0), now[le])
        if upto > below:
            yield over, over if le == float("inf") else le, upto - below
        over, below = le, max(upto, below)


def _growth(before: float, now: float) -> float:
    """A counter that went back has restarted."""
    return now - before if now >= before else now


def _short(value: float) -> float:
    return int(value) if value == int(value) else round(value, 6)


class Journal:
    """Writes the lines. `collect` gives the metrics of this process, `write` takes a line's fields."""

    def __init__(
        self,
        collect: Callable[[], Iterable[Metric]] = REGISTRY.collect,
        write: Callable[[Mapping[str, object]], None] = lambda fields: _log.info("metrics", extra={"fields": fields}),
    ) -> None:
        self._collect = collect
        self._write = write
        self._before = Totals()
        self._begun = time.monotonic()

    def line(self) -> None:
        """Write what happened since the line before, or since the start."""
        now, moment = totals(self._collect()), time.monotonic()
        rows = since(self._before, now)
        self._write({"seconds": round(moment - self._begun, 1), "metrics": rows})
        self._before, self._begun = now, moment


@contextmanager
def journal(seconds: int) -> Iterator[None]:
    """A line every so many seconds while this is open, at whole multiples of them by the clock, and one at the end.

    So each interval that is charted has as many lines of every replica, and no peak comes of two in one.
    """
    ended, lines = threading.Event(), Journal()
    thread = threading.Thread(target=_work, args=(ended.wait, lines, seconds), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        lines.line()


def _work(ended: Callable[[float], bool], lines: Journal, seconds: int) -> None:
    while not ended(until_next(time.time(), seconds)):
        try:
            lines.line()
        except Exception:  # noqa: BLE001 - whatever it is, the next line tells of this time too
            _log.exception("no line of metrics could be written")


def until_next(now: float, seconds: float) -> float:
    """From `now` to the next multiple; to the one after it where that is less than half the time away."""
    rest = seconds - now % seconds
    return rest if rest >= seconds / 2 else rest + seconds
