"""Panels as KQL: over the lines of metrics that replicas log, and over the gateway's access log. Pure.

Every query gives rows of `series` and `value`, a chart's of `TimeGenerated` too. Source of the language: Microsoft
Learn, "Kusto Query Language".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.azure.alert_rule import QueryRule
from components.azure.log_table import LogTable
from components.mlflow.observability.alerts import requests, snapshots
from components.mlflow.observability.panels import (
    GATEWAY_REQUESTS,
    PANELS,
    STATUSES,
    WINDOW_SECONDS,
    Alert,
    Highest,
    Panel,
    Quantiles,
    Rate,
    Series,
    Share,
    Total,
)

_STATUS = "^[1-5][0-9][0-9]$"


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What one value is of: the column for `by` of a summarize, and how many seconds, both in KQL."""

    column: str
    seconds: str


_ALERT = _Step(column="", seconds=str(WINDOW_SECONDS))


def chart(panel: Panel, step: str, logs: LogTable) -> str:
    """The panel over time, a value for each `step`: a timespan, or a workbook's parameter that becomes one."""
    made = _Step(column=f"TimeGenerated = bin(TimeGenerated, {step}), ", seconds=f"({step} / 1s)")
    return f"{_lines(panel, logs)} | {_values(panel, made)}"


def alerts(logs: LogTable, panels: Sequence[Panel] = PANELS) -> tuple[QueryRule, ...]:
    """Return the alerts of the panels that have one."""
    return tuple(_alert(panel, panel.alert, logs) for panel in panels if panel.alert is not None)


def _alert(panel: Panel, found: Alert, logs: LogTable) -> QueryRule:
    """A row for each line of the panel that is above the threshold."""
    return QueryRule(
        name=found.name,
        title=found.title,
        severity=found.severity,
        lines=_lines(panel, logs),
        fires=f"{_values(panel, _ALERT)} | where value > {found.above:g}",
        what_to_do=found.what_to_do,
        window=f"PT{WINDOW_SECONDS // 60}M",
    )


def _lines(panel: Panel, logs: LogTable) -> str:
    """From the table to a row for each of the panel's series, with its number `n` and its line's name, `series`."""
    series, by = panel.series[0], panel.by
    if series.metric == GATEWAY_REQUESTS:
        source = _gateway(by, logs)
    else:
        source = [snapshots(logs), *_expanded(series), _columns(by)]
    separated = ", ' ', ".join(["service", *by])
    return " | ".join([*source, f"extend series = strcat({separated})" if by else "extend series = service"])


def _values(panel: Panel, step: _Step) -> str:
    """From there to a value for each line."""
    kept = "TimeGenerated, " if step.column else ""
    match panel.measure:
        case Rate(seconds=seconds):
            parts = [f"summarize value = {seconds} * sum(n) / {step.seconds} by {step.column}series"]
        case Highest():
            parts = [f"summarize value = max(n) by {step.column}series"]
        case Total():
            parts = [
                "summarize n = sum(n) by TimeGenerated, replica, series",
                f"summarize n = avg(n) by {step.column}replica, series",
                f"summarize value = sum(n) by {kept}series",
            ]
        case Share(whole=whole):
            parts = [
                "extend part = n",
                *_expanded(whole),
                *(f"where {_shown(label)} == {label}" for label in panel.by),
                "summarize part = max(part), whole = sum(todouble(point.n)) by TimeGenerated, replica, series",
                "where whole > 0",
                f"summarize value = max(100 * part / whole) by {step.column}series",
            ]
        case Quantiles(at=at):
            parts = _quantiles(at, step.column, f"{kept}series")
    return " | ".join(parts)


def _expanded(series: Series) -> list[str]:
    conditions = [
        f"where tostring(point.{label}) in ({', '.join(map(_text, values))})" for label, values in series.where.items()
    ]
    return [f"mv-expand point = metrics.{series.metric}", *conditions]


def _columns(by: Sequence[str]) -> str:
    return f"extend {', '.join([*(f'{label} = {_shown(label)}' for label in by), 'n = todouble(point.n)'])}"


def _shown(label: str) -> str:
    value = f"tostring(point.{label})"
    return _class(value) if label in STATUSES else value


def _class(status: str) -> str:
    return f"iff({status} matches regex '{_STATUS}', strcat(substring({status}, 0, 1), 'xx'), {status})"


def _gateway(by: Sequence[str], logs: LogTable) -> list[str]:
    """Each line of the access log is one request."""
    assert tuple(by) == ("code",), by  # noqa: S101 - the log is read for nothing else
    return [requests(logs), f"extend service = {logs.container}, code = {_class('tostring(status)')}, n = 1.0"]


def _quantiles(at: Sequence[float], column: str, key: str) -> list[str]:
    """For each bucket how many observations there are up to it, and the first in which a quantile lies."""
    return [
        f"summarize n = sum(n) by {column}series, over = todouble(point.over), le = todouble(point.le)",
        f"summarize all = sum(n), buckets = make_list(bag_pack('over', over, 'le', le, 'n', n)) by {key}",
        "mv-expand bucket = buckets",
        "mv-expand other = buckets",
        # The last bucket's two bounds are the same, and the lower one is the upper one of the bucket before it.
        "where todouble(other.le) + todouble(other.over) <= todouble(bucket.le) + todouble(bucket.over)",
        f"summarize upto = sum(todouble(other.n)) by {key}, all, over = todouble(bucket.over),"
        " le = todouble(bucket.le), n = todouble(bucket.n)",
        f"mv-expand quantile = dynamic([{', '.join(map(str, at))}]) to typeof(real)",
        "where upto >= quantile * all",
        f"summarize arg_min(upto, over, le, n) by {key}, quantile, all",
        f"project {key} = strcat(series, ' p', tostring(toint(round(100 * quantile)))),"
        " value = le - (upto - quantile * all) / n * (le - over)",
    ]


def _text(value: str) -> str:
    return f"'{value}'"
