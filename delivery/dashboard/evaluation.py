"""What a panel shows of readings: the same as its query on Azure gives of the lines in the logs. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.mlflow.observability.panels import STATUSES, Highest, Panel, Quantiles, Rate, Series, Share, Total
from mlflow_runtime.metrics.snapshot import Row, Rows

_STATUS = re.compile(r"[1-5][0-9][0-9]")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one replica reported at a time (seconds since the epoch) of the time since its last reading."""

    at: float
    service: str
    replica: str
    rows: Rows


def charted(panel: Panel, readings: Iterable[Reading], step: float) -> dict[str, dict[float, float]]:
    """Each line of a panel: a value for each `step` seconds in which there was something, by the step's start."""
    steps: dict[float, list[Reading]] = defaultdict(list)
    for reading in readings:
        steps[reading.at - reading.at % step].append(reading)
    lines: dict[str, dict[float, float]] = defaultdict(dict)
    for start in sorted(steps):
        for line, value in values(panel, steps[start], step).items():
            lines[line][start] = value
    return dict(sorted(lines.items()))


def values(panel: Panel, readings: Sequence[Reading], seconds: float) -> dict[str, float]:
    """The value of each line of a panel, of the readings of so many seconds taken as one."""
    match panel.measure:
        case Rate(of=series, seconds=each):
            return {line: each * total / seconds for line, total in _sums(_numbers(panel, series, readings)).items()}
        case Total(of=series):
            return _totals(panel, series, readings)
        case Highest(of=series):
            highest: dict[str, float] = {}
            for line, number in _numbers(panel, series, readings):
                highest[line] = max(number, highest.get(line, number))
            return highest
        case Share(part=part, whole=whole):
            return _shares(panel, part, whole, readings)
        case Quantiles(of=series, at=at):
            return dict(_quantiles(panel, series, at, readings))


def quantile(buckets: Mapping[tuple[float, float], float], at: float) -> float:
    """Where a share `at` of the observations lies below, by bounds of buckets and the number in each.

    Within its bucket observations count as spread evenly; one in the last, which has no upper bound, as at its lower.
    """
    wanted, below = at * sum(buckets.values()), 0.0
    for (over, le), number in sorted(buckets.items()):
        if below + number >= wanted:
            return le - (below + number - wanted) / number * (le - over)
        below += number
    raise ValueError("quantile: no bucket has an observation; ask only where there is one.")


def _totals(panel: Panel, series: Series, readings: Sequence[Reading]) -> dict[str, float]:
    reported: dict[tuple[str, str], list[float]] = defaultdict(list)
    for reading in readings:
        for line, number in _sums(_numbers(panel, series, [reading])).items():
            reported[reading.replica, line].append(number)
    return _sums((line, sum(numbers) / len(numbers)) for (_, line), numbers in reported.items())


def _shares(panel: Panel, part: Series, whole: Series, readings: Sequence[Reading]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for reading in readings:
        wholes = _sums(_numbers(panel, whole, [reading]))
        for line, number in _numbers(panel, part, [reading]):
            if wholes.get(line):
                highest[line] = max(100 * number / wholes[line], highest.get(line, 0.0))
    return highest


def _quantiles(
    panel: Panel, series: Series, at: Sequence[float], readings: Sequence[Reading]
) -> Iterator[tuple[str, float]]:
    buckets: dict[str, dict[tuple[float, float], float]] = defaultdict(lambda: defaultdict(float))
    for reading in readings:
        for line, row in _rows(panel, series, reading):
            buckets[line][float(row["over"]), float(row["le"])] += float(row["n"])
    for line, found in buckets.items():
        for each in at:
            yield f"{line} p{round(100 * each)}", quantile(found, each)


def _numbers(panel: Panel, series: Series, readings: Iterable[Reading]) -> Iterator[tuple[str, float]]:
    for reading in readings:
        for line, row in _rows(panel, series, reading):
            yield line, float(row["n"])


def _rows(panel: Panel, series: Series, reading: Reading) -> Iterator[tuple[str, Row]]:
    """The rows of a series, each with the name of the line that it belongs to."""
    for row in reading.rows.get(series.metric, ()):
        if all(row[label] in wanted for label, wanted in series.where.items()):
            yield " ".join([reading.service, *(_shown(label, str(row[label])) for label in panel.by)]), row


def _shown(label: str, value: str) -> str:
    return f"{value[0]}xx" if label in STATUSES and _STATUS.fullmatch(value) else value


def _sums(numbers: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for line, number in numbers:
        sums[line] += number
    return dict(sums)
