"""The gateway's metrics: on a port of their own, and neither they nor a service's on the port of the clients."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.mlflow.observability.panels import GATEWAY_REQUESTS, PANELS
from delivery.dashboard.evaluation import Reading, values
from delivery.dashboard.scraping import parse
from mlflow_runtime.environment import SettingsError
from mlflow_runtime.gateway.settings import from_environment
from mlflow_runtime.metrics.snapshot import since
from mlflow_runtime.routes import ServiceRole
from tests.runtime.gateway.stack import Gateway, Upstream
from tests.support.ports import free_port
from tests.support.waiting import until


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that shows its metrics, before one replica of each service."""
    upstreams = {role.value: [Upstream(role.value)] for role in ServiceRole}
    for (replica,) in upstreams.values():
        replica.start()
    gateway = Gateway(upstreams, tmp_path / "gateway.log", {"MLFLOW_RUNTIME_METRICS_PORT": str(free_port())})
    gateway.start()
    until(lambda: metrics(gateway)[0] == 200, "the metrics are served", not_yet=(OSError,))
    yield gateway
    gateway.stop()
    for (replica,) in upstreams.values():
        replica.stop()


def metrics(gateway: Gateway, path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", int(gateway.extra["MLFLOW_RUNTIME_METRICS_PORT"]), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_requests_are_counted_by_status_and_not_by_path(measured: Gateway) -> None:
    for number in range(20):
        measured.call("GET", f"/path-{number}")
    measured.call("GET", "/a/../b")
    status, text = metrics(measured)
    assert status == 200
    assert 'caddy_http_request_duration_seconds_count{code="200"' in text
    assert "caddy_http_requests_in_flight" in text
    assert "caddy_reverse_proxy_upstreams_healthy" in text
    assert "path-" not in text
    # Each route that a request passes would be one more of these.
    assert set(re.findall(r'caddy_http_requests_total\{handler="(\w+)",server="gateway"', text)) == {"subroute"}


def test_the_dashboard_counts_each_request_once_whatever_becomes_of_it(measured: Gateway) -> None:
    before = parse(metrics(measured)[1])
    for path in ("/found", "/a/../b", "/metrics"):
        measured.call("GET", path)
    measured.call("GET", "/found", headers={"Host": "elsewhere.example.com"})
    rows = since(before, parse(metrics(measured)[1]))
    (panel,) = [panel for panel in PANELS if panel.series[0].metric == GATEWAY_REQUESTS]
    drawn = values(panel, [Reading(at=0, service="gateway", replica="gateway", rows=rows)], 1)
    assert drawn == {"gateway 2xx": 1, "gateway 4xx": 3}


def test_the_metrics_port_has_nothing_else(measured: Gateway) -> None:
    assert metrics(measured, "/")[0] == 404
    assert metrics(measured, "/api/2.0/mlflow/experiments/search")[0] == 404


@pytest.mark.parametrize("path", ["/metrics", "/%6Detrics", "/metrics?x=1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_metrics_on_the_port_of_clients(gateway: Gateway, method: str, path: str) -> None:
    answer = gateway.call(method, path, b"{}" if method == "POST" else None)
    assert answer.status == 404
    assert answer.body["error_code"] == "ENDPOINT_NOT_FOUND"
    assert not [seen for group in gateway.upstreams.values() for replica in group for seen in replica.seen]


def test_two_servers_on_one_port_are_refused(gateway: Gateway) -> None:
    with pytest.raises(SettingsError, match="PORT and MLFLOW_RUNTIME_METRICS_PORT: both name"):
        from_environment(gateway.environment() | {"MLFLOW_RUNTIME_METRICS_PORT": str(gateway.port)})
