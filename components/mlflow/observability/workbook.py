"""What the person on call looks at first: the workbook, from the queries of the alerts. Pure.

Sources: Microsoft Learn, "Azure Workbooks", "Programmatically manage workbooks", "Time parameters in workbooks"; the
schema of workbook documents in Microsoft's repository Application-Insights-Workbooks.
"""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.mlflow.observability import kql as panel_queries
from components.mlflow.observability import panels as charted
from components.mlflow.observability.alerts import (
    CONNECTIONS,
    COUNT_ERRORS,
    GATEWAY_ERRORS,
    LINES,
    NO_READY_REPLICA,
    PREPARE_ERROR,
    PREPARE_FAILED,
    REQUESTS,
    SPOOL_DISK,
    STORAGE,
    TOKEN_FAILURES,
    MetricRule,
    QueryRule,
)

VERSION = "Notebook/1.0"
"""Of the document's form; Azure wants it beside the document too."""

_Json = dict[str, Any]

_SCHEMA = "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlflow-platform:workbooks")
_WORKSPACES = {"queryType": 0, "resourceType": "microsoft.operationalinsights/workspaces"}

_RANGE = "TimeRange"
_GRAIN = f"{{{_RANGE}:grain}}"
_OVER_TIME = f"bin(TimeGenerated, {_GRAIN})"
_HOUR = 3_600_000
_FIRST_RANGE = 4 * _HOUR
_RANGES = (_HOUR, _FIRST_RANGE, 24 * _HOUR, 7 * 24 * _HOUR)

_MOST_LINES = 50
_MOST_ROUTES = 30
_ROUTE_SEGMENTS = 4  # as in /api/2.0/mlflow/runs


class Form(enum.StrEnum):
    """How a panel shows its rows, by the workbooks' names."""

    CHART = "timechart"
    TABLE = "table"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One query, asked for the chosen time range, and how its rows are shown."""

    title: str
    query: str
    form: Form = Form.TABLE


@dataclass(frozen=True, kw_only=True)
class Section:
    """Panels that answer one question, with the alerts that are looked into there."""

    title: str
    alerts: Sequence[QueryRule | MetricRule]
    panels: Sequence[Panel]
    hint: str = ""


def _occurrences(rule: QueryRule) -> tuple[Panel, Panel]:
    return (
        Panel(
            title="How often, by container",
            query=f"{rule.query} | summarize lines = count() by {_OVER_TIME}, ContainerName",
            form=Form.CHART,
        ),
        _latest(rule),
    )


def _latest(rule: QueryRule) -> Panel:
    return Panel(
        title=f"The latest {_MOST_LINES} lines",
        query=f"{rule.query} | top {_MOST_LINES} by TimeGenerated desc"
        " | project TimeGenerated, ContainerName, replica = ContainerGroupName, Log",
    )


def _metric(title: str, rule: MetricRule) -> Panel:
    return Panel(
        title=title,
        query='AzureMetrics | where ResourceProvider =~ "Microsoft.DBforPostgreSQL" and MetricName == '
        f'"{rule.metric}" | summarize average = avg(Average), highest = max(Maximum) by {_OVER_TIME}, Resource',
        form=Form.CHART,
    )


def _charts(*panels: charted.Panel) -> tuple[Panel, ...]:
    """Panels of the services' own metrics, in their unit."""
    return tuple(
        Panel(title=f"{panel.title} ({panel.unit})", query=panel_queries.chart(panel, _GRAIN), form=Form.CHART)
        for panel in panels
    )


_UP = (
    *_charts(charted.GATEWAY_ANSWERS),
    Panel(
        title="Share of server errors, in percent",
        query=f"{REQUESTS} | {COUNT_ERRORS} by {_OVER_TIME} | project TimeGenerated, share = 100.0 * errors / requests",
        form=Form.CHART,
    ),
    Panel(
        title="Where server errors came from",
        query=f"{REQUESTS} | where status >= 500 | summarize requests = count(), latest = max(TimeGenerated)"
        " by service = tostring(line.service), upstream = tostring(line.upstream), status,"
        " error = tostring(line.error) | sort by requests desc",
    ),
)
_LATENCY = (
    *_charts(charted.DURATION),
    Panel(
        title=f"Milliseconds by route, the {_MOST_ROUTES} with most requests",
        query=f'{REQUESTS} | extend route = strcat_array(array_slice(split(tostring(line.request.uri), "/"), 0, '
        f'{_ROUTE_SEGMENTS}), "/") | summarize requests = count(), p50 = percentile(milliseconds, 50),'
        f" p95 = percentile(milliseconds, 95) by route | top {_MOST_ROUTES} by requests",
    ),
)
_READINESS = (
    Panel(
        title="Replicas, by the last change of each of their checks",
        query=f'{LINES} | where tostring(line.logger) == "mlflow_runtime.service.health"'
        ' | parse tostring(line.message) with "check " check " " finding'
        " | summarize arg_max(TimeGenerated, finding) by service = ContainerName, replica = ContainerGroupName, check"
        ' | summarize ready = countif(finding startswith "fails, not ready") == 0, last_change = max(TimeGenerated),'
        ' failing = make_set_if(strcat(check, " ", finding), finding startswith "fails") by service, replica'
        " | sort by service asc, last_change desc",
    ),
)
_PREPARE = (
    Panel(
        title="Executions",
        query=f"{PREPARE_FAILED.lines} | summarize started = min(TimeGenerated), last_line = max(TimeGenerated),"
        f" errors = countif({PREPARE_ERROR}) by job = JobName, execution = ContainerGroupName | sort by started desc",
    ),
    _latest(PREPARE_FAILED),
)

_HINT = (
    "Replicas tell of their metrics once a minute, or every `monitoring.metricsSeconds`: the last point of a chart "
    "grows until its time is over, and points that stand for less time than that mean nothing."
)

SECTIONS = (
    Section(title="Is it up", alerts=[GATEWAY_ERRORS], panels=_UP),
    Section(title="How fast is it", alerts=[], panels=_LATENCY),
    Section(
        title="Is it too much",
        alerts=[panel_queries.alert(charted.SHED)],
        panels=_charts(
            charted.REQUESTS,
            charted.SHED,
            charted.IN_FLIGHT,
            charted.REPLICAS,
            charted.PROCESSOR,
            charted.MEMORY,
        ),
        hint=_HINT,
    ),
    Section(
        title="Which replicas are ready",
        alerts=[NO_READY_REPLICA],
        panels=(*_READINESS, *_occurrences(NO_READY_REPLICA)),
        hint="A replica tells of a check when it changes: one that has long been stable shows in a longer time range, "
        "and one that is gone stays until it leaves the range.",
    ),
    Section(
        title="The database",
        alerts=[CONNECTIONS, STORAGE, panel_queries.alert(charted.CONNECTION_WAITS)],
        panels=(
            _metric("Connections", CONNECTIONS),
            _metric("Disk, in percent", STORAGE),
            *_charts(charted.CONNECTIONS_USED, charted.CONNECTION_WAITS, charted.CONNECTION_SECONDS),
        ),
    ),
    Section(
        title="The blob store",
        alerts=[panel_queries.alert(charted.BLOB_FAILURES)],
        panels=_charts(charted.BLOB_FAILURES, charted.BLOB_DURATION),
    ),
    Section(title="Prepare", alerts=[PREPARE_FAILED], panels=_PREPARE),
    Section(
        title="Tokens",
        alerts=[panel_queries.alert(charted.TOKENS_REFUSED), TOKEN_FAILURES],
        panels=(*_charts(charted.TOKENS_REFUSED), *_occurrences(TOKEN_FAILURES)),
    ),
    Section(
        title="Spool disks",
        alerts=[panel_queries.alert(charted.SPOOL_USED), SPOOL_DISK],
        panels=(*_charts(charted.SPOOL_USED, charted.SPOOL), *_occurrences(SPOOL_DISK)),
    ),
)


def workbook_name(workspace_id: str) -> str:
    """The GUID that Azure wants as a workbook's name: the same for a workspace in whatever case, and for no other."""
    return str(uuid.uuid5(_NAMESPACE, workspace_id.lower()))


def document(workspace_id: str, sections: Sequence[Section] = SECTIONS) -> str:
    """The workbook as JSON, on the logs of a workspace."""
    return json.dumps(
        {
            "version": VERSION,
            "items": [_time_range(), *map(_group, sections)],
            "fallbackResourceIds": [workspace_id],
            "$schema": _SCHEMA,
        }
    )


def _time_range() -> _Json:
    parameter = {
        "id": str(uuid.uuid5(_NAMESPACE, _RANGE)),
        "version": "KqlParameterItem/1.0",
        "name": _RANGE,
        "label": "Time range",
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": _FIRST_RANGE},
        "typeSettings": {"selectableValues": [{"durationMs": each} for each in _RANGES], "allowCustom": True},
    }
    content = {"version": "KqlParameterItem/1.0", "parameters": [parameter], "style": "pills", **_WORKSPACES}
    return {"type": 9, "content": content, "name": "time-range"}


def _group(section: Section) -> _Json:
    name = section.title.lower().replace(" ", "-")
    text = "\n\n".join([f"## {section.title}", *map(_advice, section.alerts), *filter(None, [section.hint])])
    items = [
        {"type": 1, "content": {"json": text}, "name": f"{name}-text"},
        *(_query(f"{name}-{number}", panel) for number, panel in enumerate(section.panels, start=1)),
    ]
    content = {"version": "NotebookGroup/1.0", "groupType": "editable", "items": items}
    return {"type": 12, "content": content, "name": name}


def _advice(rule: QueryRule | MetricRule) -> str:
    return f"**{rule.title}** (severity {rule.severity}): {rule.what_to_do}"


def _query(name: str, panel: Panel) -> _Json:
    content = {
        "version": "KqlItem/1.0",
        "query": panel.query,
        "size": 0,
        "title": panel.title,
        "timeContextFromParameter": _RANGE,
        "visualization": panel.form.value,
        **_WORKSPACES,
    }
    return {"type": 3, "content": content, "name": name}
