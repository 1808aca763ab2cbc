"""The workbook of the person on call: complete, valid, and made of the alerts' own queries."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.log_table import CONTAINER_APPS_CONSOLE as LOGS
from components.azure.log_table import LogTable, container_log_v2
from components.mlflow.observability import cluster, kql, workbook
from components.mlflow.observability.alerts import CONNECTIONS, database_alerts, query_alerts, requests
from components.mlflow.observability.panels import PANELS
from components.mlflow.observability.workbook import Panel, Section, document, sections, workbook_name
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import from_environment
from mlflow_runtime.service import health
from tests.support.role_environment import whole

WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"
ALERTS: Sequence[QueryRule | MetricRule] = (
    *query_alerts(LOGS, access=True),
    *kql.alerts(LOGS),
    *database_alerts(50),
)
SECTIONS = sections(LOGS, access=True)
TEXT, QUERY, PARAMETERS, GROUP = 1, 3, 9, 12
TABLES = ("ContainerAppConsoleLogs", "ContainerLogV2", "Kube", "InsightsMetrics", "AzureMetrics")


def groups(shown: Sequence[Section] = SECTIONS) -> list[list[dict[str, Any]]]:
    """The items of each section."""
    items = json.loads(document(WORKSPACE, shown))["items"]
    return [item["content"]["items"] for item in items if item["type"] == GROUP]


def problems(shown: Sequence[Section] = SECTIONS, alerts: Sequence[QueryRule | MetricRule] = ALERTS) -> Iterator[str]:
    """What is wrong with a workbook, a line each."""
    made = groups(shown)
    names = [item["name"] for group in made for item in group]
    if len(set(names)) < len(names):
        yield "two items have the same name"
    queries = [item["content"] for group in made for item in group if item["type"] == QUERY]
    for content in queries:
        if not content["title"].strip():
            yield "a query has no title"
        if not content["query"].startswith(TABLES):
            yield f"{content['title']}: asks no table"
        if content["query"].count('"') % 2 or content["query"].count("(") != content["query"].count(")"):
            yield f"{content['title']}: quotes or brackets are left open"
        if parameters := set(re.findall(r"\{(\w+)[:}]", content["query"])) - {"TimeRange"}:
            yield f"{content['title']}: {sorted(parameters)} is no parameter"
    if len({content["query"] for content in queries}) < len(queries):
        yield "a query is asked twice"
    for alert in alerts:
        if not any(_looks_into(alert, group) for group in made):
            yield f"{alert.name}: has no place"


def _looks_into(alert: QueryRule | MetricRule, group: list[dict[str, Any]]) -> bool:
    """Whether a section tells of an alert, with its advice, and asks what the alert asks."""
    reported = any(alert.what_to_do in item["content"]["json"] for item in group if item["type"] == TEXT)
    wanted = alert.lines if isinstance(alert, QueryRule) else f'"{alert.metric}"'
    return reported and any(wanted in item["content"]["query"] for item in group if item["type"] == QUERY)


def test_every_query_is_whole_and_every_alert_has_its_place() -> None:
    assert list(problems()) == []


def test_every_panel_of_the_dashboard_is_a_chart_here_too() -> None:
    shown = {panel.title for section in SECTIONS for panel in section.panels}
    assert [panel.name for panel in PANELS if f"{panel.title} ({panel.unit})" not in shown] == []


def test_it_asks_for_the_chosen_time_in_the_workspace_alone() -> None:
    made = json.loads(document(WORKSPACE, SECTIONS))
    assert (made["version"], made["fallbackResourceIds"]) == ("Notebook/1.0", [WORKSPACE])
    assert [item["type"] for item in made["items"]] == [PARAMETERS, *[GROUP] * len(SECTIONS)]
    (parameter,) = made["items"][0]["content"]["parameters"]
    assert parameter["value"] in parameter["typeSettings"]["selectableValues"]
    for group in groups():
        assert [item["type"] for item in group] == [TEXT, *[QUERY] * (len(group) - 1)]
        for item in group[1:]:
            assert item["content"]["timeContextFromParameter"] == parameter["name"]
            assert item["content"]["resourceType"] == "microsoft.operationalinsights/workspaces"
            assert item["content"]["visualization"] in ("timechart", "table")


def everything_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of a JSON document."""
    if isinstance(value, Mapping):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inner:
        yield from everything_in(item)


def test_it_asks_only_for_what_the_gateway_writes_into_its_access_log() -> None:
    config = render(from_environment(whole("gateway")))
    added = {step["key"] for step in everything_in(config) if step.get("handler") == "log_append"}
    # What Caddy itself writes ("How Logging Works", Caddy's documentation).
    caddy = {"logger", "status", "duration", "request"}
    queries = [
        panel.query for section in SECTIONS for panel in section.panels if panel.query.startswith(requests(LOGS))
    ]
    asked = {field for query in queries for field in re.findall(r"line\.(\w+)", query)}
    assert len(queries) >= 4
    assert asked - caddy <= added
    assert {"service", "upstream", "error"} <= asked


@pytest.mark.parametrize(
    ("decides", "fails", "finding"),
    [(True, True, "fails, not ready: gone"), (False, True, "fails: gone"), (True, False, "passes")],
)
def test_it_reads_what_a_replica_says_of_its_checks(
    caplog: pytest.LogCaptureFixture, decides: bool, fails: bool, finding: str
) -> None:
    def probe() -> None:
        if fails:
            raise health.NotReadyError("gone")

    async def asked() -> bool:
        return (await health.Readiness([health.Check(name="database", probe=probe, decides=decides)]).report()).ready

    with caplog.at_level("INFO"):
        ready = asyncio.run(asked())
    (line,) = caplog.records
    (query,) = [panel.query for section in SECTIONS for panel in section.panels if "parse" in panel.query.split()]
    assert f'tostring(line.logger) == "{line.name}"' in query
    # `parse X with "check " check " " finding`, in Python's words.
    parsed = re.fullmatch(r"check (?P<check>.*?) (?P<finding>.*)", line.getMessage())
    assert parsed is not None
    assert parsed.groupdict() == {"check": "database", "finding": finding}
    (unready,) = re.findall(r'ready = countif\(finding startswith "(.*?)"\) == 0', query)
    assert parsed["finding"].startswith(unready) is not ready


def test_an_alert_asks_as_it_did_before_there_was_a_workbook() -> None:
    asked = {rule.name: rule.query for rule in query_alerts(LOGS)}
    assert asked["gateway-errors"].endswith("| where requests >= 20 and errors > 0.05 * requests")
    assert asked["prepare-failed"].endswith(
        '| where ContainerName == "prepare" | where tostring(line.level) == "ERROR"'
    )
    assert asked["spool-disk"] == 'ContainerAppConsoleLogs | where Log has "No space left on device"'


def test_each_alert_has_a_name_of_its_own_and_one_depends_on_the_servers_size() -> None:
    assert len({rule.name for rule in ALERTS}) == len(ALERTS)
    (found,) = [rule for rule in database_alerts(50) if rule.name == CONNECTIONS.name]
    assert found.threshold == 40


def test_what_azure_gets_is_this_document() -> None:
    made = workbook.content(LOGS, access=True)
    assert made.document_of(WORKSPACE) == document(WORKSPACE, SECTIONS)
    assert made.name_of(WORKSPACE) == workbook_name(WORKSPACE)
    assert made.version == json.loads(made.document_of(WORKSPACE))["version"]
    assert made.title == "MLflow on call"


ELSEWHERE = LogTable(
    source='OtherLogs | where Namespace == "mlflow"',
    text="tostring(Message)",
    parsed="Message",
    container="Service",
    replica="Pod",
    job="Work",
    execution="Pod",
)


def test_another_table_takes_the_place_of_this_one_everywhere() -> None:
    asked = [rule.query for rule in (*query_alerts(ELSEWHERE), *kql.alerts(ELSEWHERE))]
    asked += [panel.query for section in sections(ELSEWHERE) for panel in section.panels]
    named = {
        word
        for query in asked
        for word in re.findall(r"\w+", query)
        if word in ("ContainerAppConsoleLogs", "ContainerName", "ContainerGroupName", "JobName", "Log")
    }
    assert named == set()
    assert all(query.startswith((ELSEWHERE.source, "AzureMetrics")) for query in asked)


GOOD = Panel(title="t", query="AzureMetrics")


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ([Panel(title=" ", query="AzureMetrics")], "a query has no title"),
        ([Panel(title="t", query="")], "t: asks no table"),
        ([Panel(title="t", query='AzureMetrics | where Resource == "x')], "t: quotes or brackets are left open"),
        ([Panel(title="t", query="AzureMetrics | count(")], "t: quotes or brackets are left open"),
        ([Panel(title="t", query="AzureMetrics | where Resource == {Server}")], "t: ['Server'] is no parameter"),
        ([GOOD, Panel(title="u", query="AzureMetrics")], "a query is asked twice"),
    ],
)
def test_a_broken_panel_is_noticed(panels: list[Panel], message: str) -> None:
    assert list(problems([Section(title="s", alerts=[], panels=panels)], [])) == [message]


def test_an_alert_without_advice_or_without_its_query_is_noticed() -> None:
    rule = query_alerts(LOGS)[0]
    assert list(problems([Section(title="s", alerts=[], panels=[Panel(title="t", query=rule.lines)])], [rule])) == [
        "gateway-errors: has no place"
    ]
    assert list(problems([Section(title="s", alerts=[rule], panels=[GOOD])], [rule])) == [
        "gateway-errors: has no place"
    ]


def test_a_stack_in_a_cluster_has_one_section_more_with_the_alerts_of_the_cluster() -> None:
    place = cluster.Cluster(namespace="mlflow-dev", most_nodes={"work": 6})
    logs = container_log_v2(place.namespace)
    shown = sections(logs, place)
    assert [section.title for section in shown[:-1]] == [section.title for section in sections(logs)]
    assert list(problems(shown, cluster.alerts(place, logs))) == []
    assert workbook.content(logs, place).document_of(WORKSPACE) == document(WORKSPACE, shown)


def test_two_sections_of_one_title_are_noticed() -> None:
    sections = [Section(title="s", alerts=[], panels=[]), Section(title="S", alerts=[], panels=[])]
    assert list(problems(sections, [])) == ["two items have the same name"]


def test_its_name_is_the_workspaces_for_ever() -> None:
    assert str(uuid.UUID(workbook_name(WORKSPACE))) == workbook_name(WORKSPACE)
    assert workbook_name(WORKSPACE.upper()) == workbook_name(WORKSPACE) != workbook_name(f"{WORKSPACE}2")
    assert workbook_name(WORKSPACE) == "66bb1941-9bdd-57ed-9a21-549831eb40a0"
