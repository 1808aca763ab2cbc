"""What the person on call sees and relies on: ids, metrics, refusals under overload, an orderly stop. Real services."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import time

import pytest

from mlflow_runtime.artifacts.memory import TRANSFERS_A_BLOCK, Memory
from tests.benchmarks import overload
from tests.runtime.gateway import stack as front
from tests.runtime.service.test_service import new_run
from tests.support import warm
from tests.support.patience import OUTAGE_SECONDS, patience
from tests.support.ports import refuses
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually

ROLES = ("tracking", "registry", "artifacts")


def lines(service: Service, request_id: str) -> list[dict[str, object]]:
    """What a service logged for a request."""
    entries = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry.get("request_id") == request_id]


def answered(service: Service, request_id: str) -> list[dict[str, object]]:
    """Its line of a request that was answered, which is written when the answer is."""

    def found() -> list[dict[str, object]]:
        return [line for line in lines(service, request_id) if line["logger"] == "mlflow_runtime.request"]

    eventually(lambda: bool(found()), f"{service.role} logs {request_id}")
    return found()


def metric(service: Service, name: str) -> dict[str, float]:
    """The series of a metric, by their labels as they are written."""
    text = service.ask("/metrics").content.decode()
    found = (line.rpartition(" ") for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return {series.removeprefix(name): float(value) for series, _, value in found}


@pytest.mark.parametrize("role", ROLES)
def test_an_error_of_the_services_own_names_the_id(services: dict[str, Service], role: str) -> None:
    other = "/api/2.0/mlflow-artifacts/x" if role != "artifacts" else "/api/2.0/mlflow/runs/get"
    answer = services[role].ask(other, headers={"X-Request-Id": "given-1"})
    assert answer.status == 404
    assert answer.body["request_id"] == answer.headers["x-request-id"] == "given-1"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, 'a"b', "\u00e9"])
def test_an_id_that_is_not_well_formed_is_replaced(artifacts: Service, sent: str) -> None:
    answer = artifacts.ask("/version", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] not in ("", sent)
    assert len(answered(artifacts, answer.headers["x-request-id"])) == 1


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_metrics_of_all_that_it_does(services: dict[str, Service], role: str) -> None:
    service = services[role]
    assert service.ask("/metrics", host="10.0.0.7").status == 200
    requests = ("mlflow_http_requests_total", '{method="GET",route="/version",status="200"}')
    durations = ("mlflow_http_request_duration_seconds_count", '{method="GET",route="/version"}')
    before = [metric(service, name).get(series, 0) for name, series in (requests, durations)]
    service.ask("/version")
    for (name, series), count in zip((requests, durations), before, strict=True):
        eventually(lambda: metric(service, name).get(series) == count + 1, f"{name} counts")  # noqa: B023
    assert metric(service, "mlflow_http_requests_in_flight") == {"": 0}
    assert f'role="{role}"' in next(iter(metric(service, "mlflow_runtime_info")))
    assert all(size > 0 for size in metric(service, "mlflow_spool_bytes").values())
    assert metric(service, "mlflow_identity_tokens_total")['{outcome="new",resource="storage.azure.com"}'] >= 1
    assert sum(metric(service, "mlflow_blob_requests_total").values()) >= 1
    if role == "tracking":
        assert service.ask("/api/3.0/mlflow/prompt-optimization/jobs/none").status == 404
    databases = metric(service, "mlflow_database_connections_limit")
    # Tracking keeps the hot path's eight of the forty for it.
    most = {"tracking": 32, "registry": 40}.get(role)
    expected = {f'{{database="{name}"}}': most for name in ("registry", "tracking")} if most else {}
    assert databases == expected


def test_no_path_becomes_a_series_of_its_own(tracking: Service, artifacts: Service) -> None:
    run_id, path = new_run(tracking, "series")
    for number in range(30):
        tracking.ask(f"/no/such/{number}")
        tracking.ask(f"/api/3.0/mlflow/traces/tr-{number}")
        artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/{number}.txt", b"x", method="PUT")
        tracking.ask("/version", method=f"M{number}")
    for service in (tracking, artifacts):
        series = metric(service, "mlflow_http_requests_total")
        assert len(series) < 60
        assert run_id not in str(series)
    found = metric(tracking, "mlflow_http_requests_total")
    assert found['{method="GET",route="other",status="404"}'] >= 30
    assert found['{method="GET",route="/api/3.0/mlflow/traces/<trace_id>",status="404"}'] >= 30


def test_overload_is_answered_with_200_or_503_and_leaves_nothing_behind(shared: Platform) -> None:
    # With MLflow's own work in each request, so that a few hundred requests a second are too many.
    changes = {"MLFLOW_RUNTIME_MAX_IN_FLIGHT": "16", "MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS": "0"}
    service = shared.start("tracking", ready=True, **changes, **warm.COLD)
    watched: list[int] = []

    def watch() -> float:
        watched.extend((service.ask("/live").status, service.ask("/metrics").status))
        return overload.memory_mib(service)

    async def drive() -> tuple[overload.Outcome, list[float], overload.Outcome]:
        client = overload.Client(service)
        taken = (await client.saturate(2)).statuses[200] / 2
        outcome, memory = await overload.sampled(client.offer(overload.TIMES * taken, 4), watch)
        return outcome, memory, await client.saturate(1, clients=4)

    try:
        outcome, memory, after = asyncio.run(drive())
        assert set(outcome.statuses) == {200, 503}
        assert outcome.lost == outcome.with_retry_after == 0
        assert set(watched) == {200}
        assert max(memory) - memory[0] < 50, memory
        assert set(after.statuses) == {200}
        assert metric(service, "mlflow_http_requests_shed_total")[""] >= outcome.statuses[503]
        eventually(lambda: metric(service, "mlflow_http_requests_in_flight") == {"": 0}, "nothing is in flight")
    finally:
        service.program.kill()


def test_a_replica_that_is_to_stop_first_sends_its_callers_away_and_lets_an_upload_come_to_its_end(
    shared: Platform,
) -> None:
    service = shared.start("artifacts", MLFLOW_RUNTIME_DRAIN_SECONDS="4")
    content = os.urandom(1 << 20)
    path = "/api/2.0/mlflow-artifacts/artifacts/stop/a.bin"
    head = f"PUT {path} HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: {len(content)}\r\n\r\n"
    assert _connection_after(service, "/version") == (200, None)
    with socket.create_connection(("127.0.0.1", service.port), timeout=front.PATIENCE_SECONDS) as connection:
        connection.sendall(head.encode() + content[: 1 << 19])
        eventually(lambda: _uploads(service) == 1, "the upload is under way")
        service.program.process.send_signal(signal.SIGTERM)
        eventually(lambda: service.ready().status == 503, "it says that it is not ready")
        assert service.ready().body == {"status": "stopping"}
        for asked, status in (("/version", 200), ("/live", 200), ("/no/such/route", 404)):
            assert _connection_after(service, asked) == (status, "close")
        eventually(lambda: refuses(service.port), "nothing new is taken")
        time.sleep(1)  # the upload is slow, and not over when the stop has begun
        assert service.program.process.poll() is None
        connection.sendall(content[1 << 19 :])
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert service.program.process.wait(front.PATIENCE_SECONDS) == 0
    assert shared.blob_container().download_blob("stop/a.bin").readall() == content


def test_a_second_signal_ends_the_drain(shared: Platform) -> None:
    service = shared.start("artifacts", MLFLOW_RUNTIME_GRACE_SECONDS="120", MLFLOW_RUNTIME_DRAIN_SECONDS="100")
    service.program.process.send_signal(signal.SIGTERM)
    eventually(lambda: service.ready().status == 503, "the drain has begun")
    service.program.process.send_signal(signal.SIGTERM)
    assert service.program.process.wait(front.PATIENCE_SECONDS) == 0


def test_a_rejected_upload_gets_an_answer_and_is_not_kept(shared: Platform) -> None:
    """As many slow uploads as the smallest replica has memory for. They hinder nobody but further uploads."""
    changes = {"MLFLOW_RUNTIME_MAX_IN_FLIGHT": "8", "MLFLOW_RUNTIME_MEMORY_MIB": "512"}
    service = shared.start("artifacts", ready=True, **changes, **warm.COLD)
    most = Memory.of(512).uploads.limit * TRANSFERS_A_BLOCK
    path = "/api/2.0/mlflow-artifacts/artifacts/away"
    shared.blob_container().upload_blob("away/there.bin", b"x", overwrite=True)
    with contextlib.ExitStack() as slow:
        for number in range(most):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            head = f"PUT {path}/{number}.bin HTTP/1.1\r\nHost: {PUBLIC_HOST}\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(head.encode())
            # Each on its own, since what has not begun is in flight.
            eventually(lambda: _uploads(service) > number, f"upload {number} is under way")  # noqa: B023 - now
        assert metric(service, "mlflow_http_requests_in_flight") == {"": 0}
        before = overload.memory_mib(service)
        for _ in range(3):
            answer = service.ask(f"{path}/b.bin", bytes(32 << 20), method="PUT")
            assert answer.status == 503
            assert patience(dict(answer.headers)) > OUTAGE_SECONDS
        assert overload.memory_mib(service) - before < 32
        assert service.ready().status == 200
        assert service.ask("/api/2.0/mlflow-artifacts/artifacts?path=away").status == 200
        assert service.ask(f"{path}/there.bin").content == b"x"
    eventually(lambda: _uploads(service) == 0, "their places are free")
    assert service.ask(f"{path}/b.bin", b"x", method="PUT").status == 200
    service.program.kill()


def _uploads(service: Service) -> float:
    return metric(service, "mlflow_artifact_transfers").get('{direction="up"}', 0)


def _connection_after(service: Service, path: str) -> tuple[int, str | None]:
    """Status and what becomes of a connection that its client wants to keep."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=front.PATIENCE_SECONDS)
    connection.request("GET", path, headers={"Host": PUBLIC_HOST})
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.headers["Connection"]
