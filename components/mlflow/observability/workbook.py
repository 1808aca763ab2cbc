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

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.log_table import LogTable
from components.azure.workbook import WorkbookContent
from components.mlflow.observability import alerts, kql
from components.mlflow.observability import cluster as clusters
from components.mlflow.observability import panels as charted
from components.mlflow.observability.alerts import CONNECTIONS, COUNT_ERRORS, PREPARE_ERROR, STORAGE
from components.mlflow.observability.cluster import Cluster

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


def _occurrences(rule: QueryRule, logs: LogTable) -> tuple[Panel, Panel]:
    return (
        Panel(
            title="How often, by container",
            query=f"{rule.query} | summarize lines = count() by {_OVER_TIME}, {logs.container}",
            form=Form.CHART,
        ),
        _latest(rule, logs),
    )


def _latest(rule: QueryRule, logs: LogTable) -> Panel:
    return Panel(
        title=f"The latest {_MOST_LINES} lines",
        query=f"{rule.query} | top {_MOST_LINES} by TimeGenerated desc"
        f" | project TimeGenerated, {logs.container}, replica = {logs.replica}, {logs.text}",
    )


def _metric(title: str, rule: MetricRule) -> Panel:
    return Panel(
        title=title,
        query='AzureMetrics | where ResourceProvider =~ "Microsoft.DBforPostgreSQL" and MetricName == '
        f'"{rule.metric}" | summarize average = avg(Average), highest = max(Maximum) by {_OVER_TIME}, Resource',
        form=Form.CHART,
    )


def _charts(logs: LogTable, *panels: charted.Panel) -> tuple[Panel, ...]:
    """Panels of the services' own metrics, in their unit."""
    return tuple(
        Panel(title=f"{panel.title} ({panel.unit})", query=kql.chart(panel, _GRAIN, logs), form=Form.CHART)
        for panel in panels
    )


def _up(logs: LogTable) -> Section:
    requests, charts = alerts.requests(logs), (charted.GATEWAY_ANSWERS,)
    panels = (
        *_charts(logs, *charts),
        Panel(
            title="Share of server errors, in percent",
            query=f"{requests} | {COUNT_ERRORS} by {_OVER_TIME}"
            " | project TimeGenerated, share = 100.0 * errors / requests",
            form=Form.CHART,
        ),
        Panel(
            title="Where server errors came from",
            query=f"{requests} | where status >= 500 | summarize requests = count(), latest = max(TimeGenerated)"
            " by service = tostring(line.service), upstream = tostring(line.upstream), status,"
            " error = tostring(line.error) | sort by requests desc",
        ),
    )
    return Section(title="Is it up", alerts=[alerts.gateway_errors(logs), *kql.alerts(logs, charts)], panels=panels)


def _latency(logs: LogTable) -> Section:
    charts = (charted.DURATION,)
    panels = (
        *_charts(logs, *charts),
        Panel(
            title=f"Milliseconds by route, the {_MOST_ROUTES} with most requests",
            query=f"{alerts.requests(logs)} | extend route = strcat_array(array_slice(split(tostring(line.request.uri),"
            f' "/"), 0, {_ROUTE_SEGMENTS}), "/") | summarize requests = count(), p50 = percentile(milliseconds, 50),'
            f" p95 = percentile(milliseconds, 95) by route | top {_MOST_ROUTES} by requests",
        ),
    )
    return Section(title="How fast is it", alerts=kql.alerts(logs, charts), panels=panels)


def _load(logs: LogTable) -> Section:
    charts = (
        charted.REQUESTS,
        charted.SHED,
        charted.IN_FLIGHT,
        charted.REPLICAS,
        charted.PROCESSOR,
        charted.MEMORY,
    )
    return Section(title="Is it too much", alerts=kql.alerts(logs, charts), panels=_charts(logs, *charts), hint=_HINT)


def _readiness(logs: LogTable) -> Section:
    unready = alerts.no_ready_replica(logs)
    unanswered = f"{unready.lines} | where {alerts.UNANSWERED}"
    checks = Panel(
        title="Replicas, by the last change of each of their checks",
        query=f'{alerts.lines(logs)} | where tostring(line.logger) == "mlflow_runtime.service.health"'
        ' | parse tostring(line.message) with "check " check " " finding'
        f" | summarize arg_max(TimeGenerated, finding) by service = {logs.container}, replica = {logs.replica}, check"
        ' | summarize ready = countif(finding startswith "fails, not ready") == 0, last_change = max(TimeGenerated),'
        ' failing = make_set_if(strcat(check, " ", finding), finding startswith "fails") by service, replica'
        " | sort by service asc, last_change desc",
    )
    return Section(
        title="Which replicas are ready",
        alerts=[unready],
        panels=(
            checks,
            Panel(
                title="Requests that no replica answered, by service",
                query=f"{unanswered} | summarize requests = count() by {_OVER_TIME}, asked",
                form=Form.CHART,
            ),
            Panel(
                title=f"The latest {_MOST_LINES} of them",
                query=f"{unanswered} | top {_MOST_LINES} by TimeGenerated desc"
                f" | project TimeGenerated, asked, status, {logs.text}",
            ),
        ),
        hint="A replica tells of a check when it changes: one that has long been stable shows in a longer time range, "
        "and one that is gone stays until it leaves the range.",
    )


def _database(logs: LogTable) -> Section:
    charts = (charted.CONNECTIONS_USED, charted.CONNECTION_WAITS, charted.CONNECTION_SECONDS)
    return Section(
        title="The database",
        alerts=[CONNECTIONS, STORAGE, *kql.alerts(logs, charts)],
        panels=(
            _metric("Connections", CONNECTIONS),
            _metric("Disk, in percent", STORAGE),
            *_charts(logs, *charts),
        ),
    )


def _blob_store(logs: LogTable) -> Section:
    charts = (charted.BLOB_FAILURES, charted.BLOB_DURATION, charted.ARTIFACT_BLOCKS)
    return Section(title="The blob store", alerts=kql.alerts(logs, charts), panels=_charts(logs, *charts))


def _prepare(logs: LogTable) -> Section:
    failed = alerts.prepare_failed(logs)
    executions = Panel(
        title="Executions",
        query=f"{failed.lines} | summarize started = min(TimeGenerated), last_line = max(TimeGenerated),"
        f" errors = countif({PREPARE_ERROR}) by job = {logs.job}, execution = {logs.execution} | sort by started desc",
    )
    return Section(title="Prepare", alerts=[failed], panels=(executions, _latest(failed, logs)))


def _tokens(logs: LogTable) -> Section:
    failures, charts = alerts.token_failures(logs), (charted.TOKENS_REFUSED,)
    return Section(
        title="Tokens",
        alerts=[*kql.alerts(logs, charts), failures],
        panels=(*_charts(logs, *charts), *_occurrences(failures, logs)),
    )


def _changes(logs: LogTable) -> Section:
    burst, record = alerts.refused_burst(logs), alerts.audited(logs)
    return Section(
        title="Who did what",
        alerts=[burst],
        panels=(
            Panel(
                title="Changes, refusals and sign-ins",
                query=f"{record} | summarize requests = count() by {_OVER_TIME}, event",
                form=Form.CHART,
            ),
            Panel(
                title=f"The latest {_MOST_LINES} changes",
                query=f'{record} | where event == "changed" | top {_MOST_LINES} by TimeGenerated desc'
                " | project TimeGenerated, caller, team, route, ids = tostring(line.ids), status",
            ),
            Panel(
                title="Who was refused",
                query=f"{burst.lines} | summarize requests = count(),"
                " latest = max(TimeGenerated) by caller, oid, team, reason | sort by requests desc",
            ),
            Panel(
                title="Who signed in by a browser",
                query=f'{record} | where event == "signed-in" | summarize sign_ins = count(),'
                " latest = max(TimeGenerated) by caller, oid | sort by sign_ins desc",
            ),
        ),
    )


def _spool(logs: LogTable) -> Section:
    full, charts = alerts.spool_disk(logs), (charted.SPOOL_USED, charted.SPOOL)
    return Section(
        title="Spool disks",
        alerts=[*kql.alerts(logs, charts), full],
        panels=(*_charts(logs, *charts), *_occurrences(full, logs)),
    )


def _cluster(cluster: Cluster, logs: LogTable) -> Section:
    panels = (
        Panel(
            title="Ready pods",
            query=f"{clusters.deployments(cluster)} | summarize ready = min(Val) by {_OVER_TIME}, service",
            form=Form.CHART,
        ),
        Panel(
            title="Containers that are not running",
            query=f"{clusters.pods(cluster)} | summarize arg_max(TimeGenerated, *) by Name, ContainerName"
            ' | where ContainerStatus != "running" and ContainerStatusReason != "Completed"'
            " | project TimeGenerated, Name, PodStatus, ContainerStatus, ContainerStatusReason, ContainerLastStatus,"
            " Computer",
        ),
        Panel(
            title="Restarts",
            query=f"{clusters.pods(cluster)} | summarize restarts = max(ContainerRestartCount) by {_OVER_TIME}, Name",
            form=Form.CHART,
        ),
        Panel(
            title="Nodes, by pool",
            query=f"{clusters.nodes()} | summarize nodes = dcount(Computer) by {_OVER_TIME}, pool",
            form=Form.CHART,
        ),
        Panel(
            title="Services at their largest",
            query=f"{clusters.scalers(cluster)} | summarize pods = max(Val), most = max(most) by {_OVER_TIME}, service",
            form=Form.CHART,
        ),
        Panel(
            title="What the gateway says of its certificate",
            query=f"{clusters.certificate_lines(logs)} | top {_MOST_LINES} by TimeGenerated desc"
            " | project TimeGenerated, level = tostring(line.level), message = tostring(line.message)",
        ),
        Panel(
            title=f"The latest {_MOST_LINES} warnings",
            query=f"{clusters.events(cluster)} | top {_MOST_LINES} by TimeGenerated desc"
            " | project TimeGenerated, ObjectKind, Name, Reason, Message",
        ),
    )
    return Section(title="The cluster", alerts=clusters.alerts(cluster, logs), panels=panels)


_HINT = (
    "Replicas tell of their metrics once a minute, or every `monitoring.metricsSeconds`: the last point of a chart "
    "grows until its time is over, and points that stand for less time than that mean nothing."
)


def sections(logs: LogTable, cluster: Cluster | None = None, *, access: bool = False) -> tuple[Section, ...]:
    """Return the workbook's sections, over the table that a backend fills.

    There is one more for a stack in a cluster, and one for a stack with access control.
    """
    parts = (_up, _latency, _load, _readiness, _database, _blob_store, _prepare, _tokens, _spool)
    found = tuple(part(logs) for part in (*parts, *((_changes,) if access else ())))
    return found if cluster is None else (*found, _cluster(cluster, logs))


def content(logs: LogTable, cluster: Cluster | None = None, *, access: bool = False) -> WorkbookContent:
    """Return the workbook of the person on call."""
    return WorkbookContent(
        title="MLflow on call",
        description="What the alerts of MLflow look at, and what to do about each.",
        version=VERSION,
        name_of=workbook_name,
        document_of=lambda workspace_id: document(workspace_id, sections(logs, cluster, access=access)),
    )


def workbook_name(workspace_id: str) -> str:
    """The GUID that Azure wants as a workbook's name: the same for a workspace in whatever case, and for no other."""
    return str(uuid.uuid5(_NAMESPACE, workspace_id.lower()))


def document(workspace_id: str, sections: Sequence[Section]) -> str:
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
