"""What the dashboard and the alerts on Azure are made of is there: in real services, at /metrics and in their logs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.mlflow.observability.panels import GATEWAY_REQUESTS, PANELS, Panel, Series
from mlflow_runtime.metrics import azure
from mlflow_runtime.metrics.snapshot import KEPT
from tests.support.services import Platform, Service, eventually

ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/panels/a.txt"
OF_SERVICES = [panel for panel in PANELS if panel.series[0].metric != GATEWAY_REQUESTS]


@pytest.fixture
def exposed(services: Mapping[str, Service]) -> dict[str, list[Mapping[str, str]]]:
    """The labels of every sample of a metric, over all services and after each did some work.

    A metric that never happened has a description and no sample.
    """
    services["tracking"].ask("/api/2.0/mlflow/experiments/search", {"max_results": 1})
    services["registry"].ask("/api/2.0/mlflow/registered-models/search")
    assert services["artifacts"].ask(ARTIFACT, b"x", method="PUT").status == 200
    found: dict[str, list[Mapping[str, str]]] = {}
    for service in services.values():
        for family in text_string_to_metric_families(service.ask("/metrics").content.decode()):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.setdefault(name, []).extend(item.labels for item in family.samples)
    return found


def missing(panel: Panel, exposed: Mapping[str, list[Mapping[str, str]]]) -> list[str]:
    """What of a panel the services do not show, or do not write into their logs."""
    problems = []
    for series in panel.series:
        asked = {*panel.by, *series.where} if series is panel.series[0] else {*series.where}
        shown = {label for labels in exposed.get(series.metric, []) for label in labels}
        if series.metric not in exposed:
            problems.append(f"{series.metric} is shown by no service")
        elif lacking := asked - shown if exposed[series.metric] else set():
            problems.append(f"{series.metric} has no label {sorted(lacking)}")
        if lacking := asked - set(KEPT.get(series.metric, ())) if series.metric in KEPT else {series.metric}:
            problems.append(f"the line of metrics lacks {sorted(lacking)} of {series.metric}")
    return problems


@pytest.mark.parametrize("panel", OF_SERVICES, ids=lambda panel: panel.name)
def test_the_services_show_what_a_panel_asks_for(panel: Panel, exposed: Mapping[str, list[Mapping[str, str]]]) -> None:
    assert missing(panel, exposed) == []


def test_the_values_that_panels_ask_for_are_those_that_services_write(
    exposed: Mapping[str, list[Mapping[str, str]]],
) -> None:
    azure.token("https://vault.azure.net/.default", refused=True)
    refused = [item.labels for family in azure._tokens.collect() for item in family.samples]
    written = {(label, value) for labels in (*chain(*exposed.values()), *refused) for label, value in labels.items()}
    asked = {
        (label, value)
        for panel in OF_SERVICES
        for series in panel.series
        for label, values in series.where.items()
        for value in values
        if label != "status"
    }
    assert ("outcome", "refused") in asked
    assert asked - written == set()


def test_every_series_of_the_line_is_in_a_panel() -> None:
    """What nobody looks at is paid for all the same."""
    assert {series.metric for panel in OF_SERVICES for series in panel.series} == set(KEPT)


@pytest.mark.parametrize(
    ("series", "by", "problem"),
    [
        (Series(metric="mlflow_http_requests"), (), "mlflow_http_requests is shown by no service"),
        (Series(metric="mlflow_http_requests_total"), ("code",), "mlflow_http_requests_total has no label ['code']"),
        (
            Series(metric="mlflow_http_requests_total"),
            ("route",),
            "the line of metrics lacks ['route'] of mlflow_http_requests_total",
        ),
    ],
)
def test_a_metric_of_another_name_is_noticed(
    series: Series, by: tuple[str, ...], problem: str, exposed: Mapping[str, list[Mapping[str, str]]]
) -> None:
    panel = OF_SERVICES[0]
    measure = type(panel.measure)(of=series)  # type: ignore[call-arg]
    broken = Panel(name="it", title="it", unit=panel.unit, measure=measure, by=by)
    assert problem in missing(broken, exposed)


def lines(service: Service) -> list[dict[str, Any]]:
    """The lines of metrics in a service's log."""
    entries = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry["logger"] == "mlflow_runtime.metrics"]


def test_a_replica_writes_its_metrics_on_time_and_once_more_at_its_end(shared: Platform) -> None:
    service = shared.start("artifacts", MLFLOW_RUNTIME_METRICS_SECONDS="5")
    assert service.ask(ARTIFACT, b"x", method="PUT").status == 200
    eventually(lambda: len(lines(service)) >= 2, "two lines of metrics")
    before = len(lines(service))
    for _ in range(3):
        assert service.ask(ARTIFACT, b"x", method="PUT").status == 200
    service.program.process.terminate()
    assert service.program.process.wait(20) == 0
    reported = lines(service)
    assert len(reported) > before
    assert {line["role"] for line in reported} == {"artifacts"}
    assert sum(row["n"] for line in reported for row in line["metrics"].get("mlflow_http_requests_total", [])) == 4
    # Runtimes of containers cut lines at 16 KiB.
    assert max(len(json.dumps(line)) for line in reported) < 8192
