"""Every query of the workbook and the alerts is KQL, and a panel's gives on Azure what the local dashboard draws."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from components.azure.log_table import CONTAINER_APPS_CONSOLE as LOGS
from components.azure.log_table import container_log_v2
from components.mlflow.observability import alerts, cluster, kql
from components.mlflow.observability.alerts import query_alerts
from components.mlflow.observability.cluster import Cluster
from components.mlflow.observability.panels import (
    GATEWAY_REQUESTS,
    PANELS,
    TOKENS_REFUSED,
    WINDOW_SECONDS,
    Panel,
    Quantiles,
)
from components.mlflow.observability.workbook import sections
from delivery.audit.query import query
from delivery.audit.records import Wanted
from delivery.dashboard.evaluation import Reading, charted, values
from mlflow_runtime.logs import JsonFormatter
from mlflow_runtime.metrics.snapshot import KEPT, Row, Rows
from mlflow_runtime.middleware.access import audit
from tests.support import container_insights, kusto

STEP = 300
START = 1_767_225_600  # a whole multiple of the step
CLUSTER = Cluster(namespace="mlflow-dev", most_nodes={"system": 3, "work": 6})
IN_CLUSTER = container_log_v2(CLUSTER.namespace)
ALERTS = [
    *(alert for logs in (LOGS, IN_CLUSTER) for alert in (*query_alerts(logs, access=True), *kql.alerts(logs))),
    *cluster.alerts(CLUSTER, IN_CLUSTER),
]
SECTIONS = [*sections(LOGS, access=True), *sections(IN_CLUSTER, CLUSTER, access=True)]
WORKBOOK = [panel.query for section in SECTIONS for panel in section.panels]
OF_SERVICES = [panel for panel in PANELS if panel.series[0].metric != GATEWAY_REQUESTS]
# Each runs a query, which takes half a second.
FEW = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
BUCKETS = ((0, 0.1), (0.1, 0.5), (0.5, 2), (2, 2))


def in_workbook(query: str) -> str:
    """The query as the workbook asks it for four hours."""
    return re.sub(r"\{TimeRange:grain\}", "5m", query)


def test_every_query_is_kql_over_the_tables_that_there_are() -> None:
    queries = [*map(in_workbook, WORKBOOK), *(alert.query for alert in ALERTS)]
    problems = {query: found["problems"] for query, found in zip(queries, kusto.analyzed(queries), strict=True)}
    assert {query: found for query, found in problems.items() if found} == {}


@pytest.mark.parametrize(
    ("logger", "level", "fires"),
    [
        ("mlflow_runtime.gateway.certificate_source", logging.WARNING, True),
        ("mlflow_runtime.gateway.certificate_source", logging.ERROR, True),
        ("mlflow_runtime.gateway.certificate_source", logging.INFO, False),
        ("mlflow_runtime.gateway", logging.WARNING, False),
    ],
)
def test_what_the_gateway_says_of_its_certificate_alerts_for_the_hour_until_it_says_so_again(
    logger: str, level: int, *, fires: bool
) -> None:
    (rule,) = [rule for rule in cluster.alerts(CLUSTER, IN_CLUSTER) if rule.name == "gateway-certificate"]
    assert rule.window == "PT1H"
    message = "certificate gateway-tls in https://kv.vault.azure.net expires in 13 days, on 2026-12-12 10:00 UTC"
    line = JsonFormatter("gateway").format(logging.LogRecord(logger, level, "", 0, message, None, None))
    rows = container_insights.log_rows(CLUSTER.namespace, "gateway", "gateway-1", datetime(2026, 1, 1), line)
    assert bool(kusto.run(rule.query, rows, "ContainerLogV2")) is fires


def test_a_cluster_of_others_has_no_alert_on_the_size_of_its_pools() -> None:
    names = {rule.name for rule in cluster.alerts(Cluster(namespace="n"), IN_CLUSTER)}
    assert {rule.name for rule in cluster.alerts(CLUSTER, IN_CLUSTER)} - names == {"nodes-at-maximum"}


@pytest.mark.parametrize(("refused", "oid", "fires"), [(50, "anna", True), (49, "anna", False), (60, None, False)])
def test_a_signed_in_caller_who_is_often_refused_alerts(refused: int, oid: str | None, *, fires: bool) -> None:
    assert alerts.AUDIT == audit.LOGGER
    record = logging.LogRecord(audit.LOGGER, logging.INFO, "", 0, "refused", None, None)
    record.fields = {"oid": oid, "route": "POST /x", "ids": {}, "status": 403, "reason": "role-too-low"}
    text = JsonFormatter("tracking").format(record)
    row = {"TimeGenerated": datetime(2026, 1, 1).isoformat(), "ContainerName": "tracking", "Log": text}
    assert bool(kusto.run(alerts.refused_burst(LOGS).query, [row] * refused)) is fires


def test_the_question_who_deleted_a_run_finds_the_line() -> None:
    record = logging.LogRecord(audit.LOGGER, logging.INFO, "", 0, "changed", None, None)
    record.fields = {"caller": "anna", "workspace": "team-a", "ids": {"run_id": ["abc"]}, "status": 200}
    row = {"TimeGenerated": datetime(2026, 1, 1), "ContainerName": "t", "Log": JsonFormatter("t").format(record)}
    asked = [query(LOGS, Wanted(identifier=each, caller="Anna", workspace="team-a"), 5) for each in ("abc", "ab")]
    assert [len(kusto.run(each, [row])) for each in asked] == [1, 0]


def test_a_chart_has_a_time_a_name_and_a_number() -> None:
    charts = [kql.chart(panel, "5m", LOGS) for panel in PANELS]
    expected = [["TimeGenerated", "datetime"], ["series", "string"], ["value", "real"]]
    assert [found["columns"] for found in kusto.analyzed(charts)] == [expected] * len(PANELS)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ContainerAppConsoleLogs | where Lgo has 'x'", "Error KS142: The name 'Lgo' does not refer to any known"),
        ("ContainerAppConsoleLogs | summarise count()", "Error KS"),
        ("ContainerAppConsoleLogs | extend sample = Log | where sample has 'x'", "needs to be bracketed"),
        ("SomeTable | count", "does not refer to any known table"),
    ],
)
def test_a_query_that_is_wrong_is_noticed(query: str, message: str) -> None:
    ((problem, *_),) = [found["problems"] for found in kusto.analyzed([query])]
    assert message in problem


def labels(panel: Panel) -> dict[str, list[str]]:
    """Values of each kept label of a panel's metric, those among them that the panel asks for."""
    known = {"status": ["200", "204", "404", "503", "error"], "database": ["tracking", "registry"]}
    asked = {label: list(wanted) for series in panel.series for label, wanted in series.where.items()}
    return {label: [*asked.get(label, []), *known.get(label, ["used", "free"])] for label in ALL_LABELS}


ALL_LABELS = sorted({label for kept in KEPT.values() for label in kept})
NUMBERS = st.integers(0, 40) | st.floats(0, 1000, width=16)


@st.composite
def readings(draw: st.DrawFn, panel: Panel) -> list[Reading]:
    """What two services of two replicas tell in three steps; some of it is not there."""
    reported = []
    for minute in range(0, 15, draw(st.sampled_from([1, 2]))):
        for service, replica in (("tracking", "t-1"), ("tracking", "t-2"), ("registry", "r-1")):
            if draw(st.integers(0, 3)):
                rows = {series.metric: draw(metric_rows(panel, series.metric)) for series in panel.series}
                at = START + 60 * minute + draw(st.sampled_from([0, 0.25]))
                reported.append(Reading(at=at, service=service, replica=replica, rows=rows))
    return reported


@st.composite
def metric_rows(draw: st.DrawFn, panel: Panel, metric: str) -> list[Row]:
    found: list[Row] = []
    possible = labels(panel)
    kept = KEPT[metric]
    for named in draw(
        st.lists(st.tuples(*(st.sampled_from(possible[label]) for label in kept)), max_size=4, unique=True)
    ):
        own: Row = dict(zip(kept, named, strict=True))
        if isinstance(panel.measure, Quantiles):
            grown = draw(st.lists(st.sampled_from(BUCKETS), max_size=4, unique=True))
            found += [{**own, "over": over, "le": le, "n": draw(st.integers(1, 20))} for over, le in sorted(grown)]
        else:
            found.append({**own, "n": draw(NUMBERS)})
    return found


def logged(reported: Sequence[Reading]) -> list[dict[str, object]]:
    """The readings as the console log has them, with lines of other kinds between."""
    lines: list[dict[str, object]] = [
        {
            "TimeGenerated": datetime.fromtimestamp(reading.at, UTC).replace(tzinfo=None),
            "ContainerName": reading.service,
            "ContainerGroupName": reading.replica,
            "Log": json.dumps({"logger": "mlflow_runtime.metrics", "message": "metrics", "metrics": reading.rows}),
        }
        for reading in reported
    ]
    others = ["no JSON, mlflow_runtime.metrics", json.dumps({"logger": "mlflow_runtime.request", "status": 200})]
    return [*lines, *({**lines[0], "Log": other} for other in others if lines)]


def by_time(found: Sequence[dict[str, Any]]) -> dict[tuple[float, str], float]:
    return {(row["TimeGenerated"].replace(tzinfo=UTC).timestamp(), row["series"]): row["value"] for row in found}


@pytest.mark.parametrize("panel", OF_SERVICES, ids=lambda panel: panel.name)
@FEW
@given(data=st.data())
def test_a_panel_gives_the_same_on_azure_and_here(panel: Panel, data: st.DataObject) -> None:
    reported = data.draw(readings(panel))
    lines = charted(panel, reported, STEP)
    expected = {(time, line): value for line, points in lines.items() for time, value in points.items()}
    assert by_time(kusto.run(kql.chart(panel, "5m", LOGS), logged(reported))) == pytest.approx(expected)


@pytest.mark.parametrize("panel", [panel for panel in PANELS if panel.alert], ids=lambda panel: panel.name)
@FEW
@given(data=st.data())
def test_an_alert_fires_where_the_panel_is_above_its_line(panel: Panel, data: st.DataObject) -> None:
    assert panel.alert is not None
    reported = [reading for reading in data.draw(readings(panel)) if reading.at < START + WINDOW_SECONDS]
    above = {
        line: value for line, value in values(panel, reported, WINDOW_SECONDS).items() if value > panel.alert.above
    }
    (rule,) = kql.alerts(LOGS, [panel])
    found = kusto.run(rule.query, logged(reported))
    assert {row["series"]: row["value"] for row in found} == pytest.approx(above)


@pytest.mark.parametrize(("refused", "fires"), [(0, False), (1, True)])
def test_at_its_line_an_alert_does_not_fire_yet(refused: int, fires: bool) -> None:
    rows: Rows = {"mlflow_identity_tokens_total": [{"resource": "vault", "outcome": "refused", "n": refused}]}
    reported = [Reading(at=START, service="tracking", replica="t", rows=rows)]
    (rule,) = kql.alerts(LOGS, [TOKENS_REFUSED])
    assert bool(kusto.run(rule.query, logged(reported))) is fires


def test_the_gateways_answers_are_the_lines_of_its_access_log() -> None:
    def line(second: int, status: int) -> dict[str, object]:
        access = {"logger": "http.log.access.gateway", "status": status, "duration": 0.01, "request": {"uri": "/"}}
        moment = datetime.fromtimestamp(START + second, UTC).replace(tzinfo=None)
        return {"TimeGenerated": moment, "ContainerName": "gateway", "Log": json.dumps(access)}

    (panel,) = [panel for panel in PANELS if panel not in OF_SERVICES]
    found = kusto.run(kql.chart(panel, "5m", LOGS), [line(1, 200), line(2, 201), line(3, 503), line(301, 404)])
    assert by_time(found) == pytest.approx(
        {
            (START, "gateway 2xx"): 2 / STEP,
            (START, "gateway 5xx"): 1 / STEP,
            (START + STEP, "gateway 4xx"): 1 / STEP,
        }
    )


def test_rows_are_never_those_of_another_metric() -> None:
    rows: Rows = {"mlflow_http_requests_total": [{"status": "200", "n": 30}], "mlflow_http_requests_shed_total": []}
    reported = [Reading(at=START, service="tracking", replica="t", rows=rows)]
    (shed,) = [panel for panel in PANELS if panel.name == "shed"]
    assert kusto.run(kql.chart(shed, "5m", LOGS), logged(reported)) == []
