"""The values that a setup remembers of some runs, compared with those that it acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from delivery.bench.load import Values
from delivery.bench.store import Store

Point = tuple[int, int, float]
"""A metric's step, timestamp and value. The greatest is the latest (SqlAlchemyStore._update_latest_metrics)."""

_RUNS_A_QUERY: Final = 500


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What the tables have of one run. `latest` is the row that MLflow shows of each metric."""

    metrics: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    latest: Mapping[str, Point] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


def remembered(store: Store, runs: Sequence[str]) -> dict[str, Remembered]:
    """Read the values of some runs around their server."""
    found: dict[str, Remembered] = {}
    for start in range(0, len(runs), _RUNS_A_QUERY):
        found |= dict(_remembered(store, runs[start : start + _RUNS_A_QUERY]))
    return found


def differences(run: str, wanted: Values, found: Remembered) -> Iterator[str]:
    """Name each acknowledged value that is not there as it was, and each latest metric that is not the latest.

    More may be there: a request without an answer may have been carried out.
    """
    for key, step, value in wanted.metrics:
        there = [each for at, _, each in found.metrics.get(key, ()) if at == step]
        if value not in there:
            yield f"{run}: metric {key} at step {step} is {there or 'missing'}; acknowledged was {value}"
    for name, text in wanted.params:
        if found.params.get(name) != text:
            yield f"{run}: parameter {name} is {found.params.get(name)!r}; acknowledged was {text!r}"
    for key, points in found.metrics.items():
        if found.latest.get(key) != max(points):
            yield f"{run}: the latest {key} is {found.latest.get(key)}; the metrics' own is {max(points)}"


def compared(wanted: Mapping[str, Values], found: Mapping[str, Remembered]) -> tuple[int, list[str]]:
    """Return how many values were compared, and the differences."""
    number = sum(len(each.metrics) + len(each.params) for each in wanted.values())
    latest = sum(len(each.metrics) for each in found.values())
    nothing = Remembered()
    return number + latest, [
        line for run, each in wanted.items() for line in differences(run, each, found.get(run, nothing))
    ]


def _remembered(store: Store, runs: Sequence[str]) -> Iterator[tuple[str, Remembered]]:
    def rows(columns: str, table: str) -> Sequence[tuple[Any, ...]]:
        marks = ", ".join("?" * len(runs))
        return store.read(f"SELECT run_uuid, key, {columns} FROM {table} WHERE run_uuid IN ({marks})", *runs)  # noqa: S608

    metrics: dict[str, dict[str, list[Point]]] = {run: {} for run in runs}
    latest: dict[str, dict[str, Point]] = {run: {} for run in runs}
    params: dict[str, dict[str, str]] = {run: {} for run in runs}
    for run, key, *point in rows("step, timestamp, value", "metrics"):
        metrics[run].setdefault(key, []).append((point[0], point[1], point[2]))
    for run, key, *point in rows("step, timestamp, value", "latest_metrics"):
        latest[run][key] = (point[0], point[1], point[2])
    for run, key, value in rows("value", "params"):
        params[run][key] = value
    for run in runs:
        yield run, Remembered(metrics=metrics[run], latest=latest[run], params=params[run])
