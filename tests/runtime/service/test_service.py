"""Services of each role as processes, asked directly."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path
from unittest.mock import AsyncMock

import anyio.to_thread
import pytest
from starlette.types import Receive, Scope, Send

from mlflow_runtime.middleware.worker_threads import WorkerThreads
from tests.support import warm
from tests.support.services import CONTAINER, PUBLIC_HOST, Platform, Service, eventually

ROLES = ("tracking", "registry", "artifacts")


def new_run(tracking: Service, name: str) -> tuple[str, str]:
    """Id of a new run and the path of its artifacts in the container."""
    experiment = tracking.ask("/api/2.0/mlflow/experiments/create", {"name": name}).body["experiment_id"]
    info = tracking.ask("/api/2.0/mlflow/runs/create", {"experiment_id": experiment}).body["run"]["info"]
    assert info["artifact_uri"].startswith("mlflow-artifacts:/")
    return info["run_id"], info["artifact_uri"].removeprefix("mlflow-artifacts:/")


def new_trace(tracking: Service) -> tuple[str, str]:
    """Id of a new trace without spans, and the path in the container of the file that has them instead."""
    started = {"experiment_id": "0", "timestamp_ms": 1, "status": "OK"}
    info = tracking.ask("/api/2.0/mlflow/traces", started).body["trace_info"]
    tags = {tag["key"]: tag["value"] for tag in info["tags"]}
    return info["request_id"], f"{tags['mlflow.artifactLocation'].removeprefix('mlflow-artifacts:/')}/traces.json"


@pytest.mark.parametrize("role", ROLES)
def test_live_and_ready_answer_whatever_the_host(services: dict[str, Service], role: str) -> None:
    service = services[role]
    assert service.ask("/live", host=f"10.0.0.7:{service.port}").status == 200
    assert service.ask("/ready", host=f"10.0.0.7:{service.port}").status == 200


def test_ready_shows_what_decides(services: dict[str, Service]) -> None:
    deciding = {
        role: {name for name, check in service.ready().body["checks"].items() if check["decides"]}
        for role, service in services.items()
    }
    assert deciding == {
        "tracking": {"tracking_database", "secrets"},
        "registry": {"registry_database", "secrets"},
        "artifacts": {"blob"},
    }
    assert set(services["artifacts"].ready().body["checks"]) == {"blob"}


def test_artifacts_go_straight_to_the_container_from_every_service(
    shared: Platform, services: dict[str, Service]
) -> None:
    tracking, registry, artifacts = (services[role] for role in ROLES)
    run_id, path = new_run(tracking, "straight")
    content = b"straight from the container"
    stored = artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt", content, method="PUT")
    assert stored.status == 200, stored
    assert shared.blob_container().download_blob(f"{path}/a.txt").readall() == content
    assert artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt").content == content
    assert tracking.ask(f"/get-artifact?run_id={run_id}&path=a.txt").content == content
    listed = tracking.ask(f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}").body
    assert [entry["path"] for entry in listed["files"]] == ["a.txt"]
    assert registry.ask("/api/2.0/mlflow/registered-models/create", {"name": "straight"}).status == 200
    source = {"name": "straight", "source": f"mlflow-artifacts:/{path}", "run_id": run_id}
    assert registry.ask("/api/2.0/mlflow/model-versions/create", source).status == 200
    assert registry.ask("/model-versions/get-artifact?name=straight&version=1&path=a.txt").content == content
    assert artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/none.txt").status == 404


def test_a_failure_of_one_request_ends_no_connection_that_another_uses(tracking: Service) -> None:
    """MLflow 3.17.2 fails in this route for a body that is no object, outside of what answers its errors."""
    connection = http.client.HTTPConnection("127.0.0.1", tracking.port, timeout=60)
    headers = {"Host": PUBLIC_HOST, "Content-Type": "application/json"}
    for _ in range(20):
        for body, status in ((b"null", 500), (b"{}", 400)):
            connection.request("POST", "/gateway/anthropic/v1/messages", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            # A client that notices the end of the connection makes another one in silence.
            assert connection.sock is not None


def test_a_location_outside_of_the_container_is_not_read(tracking: Service) -> None:
    foreign = "wasbs://other@elsewhere.blob.core.windows.net/x"
    created = tracking.ask("/api/2.0/mlflow/experiments/create", {"name": "foreign", "artifact_location": foreign})
    run = tracking.ask("/api/2.0/mlflow/runs/create", {"experiment_id": created.body["experiment_id"]}).body["run"]
    answer = tracking.ask(f"/api/2.0/mlflow/artifacts/list?run_id={run['info']['run_id']}")
    assert answer.status == 400
    assert f"wasbs://{CONTAINER}@" in answer.body["message"]


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("tracking", "/api/2.0/mlflow/experiments/search?max_results=1"),
        ("registry", "/api/2.0/mlflow/registered-models/search"),
        ("artifacts", "/api/2.0/mlflow-artifacts/artifacts"),
    ],
)
def test_an_unknown_host_is_refused(services: dict[str, Service], role: str, path: str) -> None:
    assert services[role].ask(path).status == 200
    refused = services[role].ask(path, host="evil.example.com")
    assert refused.status == 403
    assert b"Host" in refused.content


def test_the_platforms_own_origin_may_write_and_a_foreign_one_may_not(tracking: Service) -> None:
    def search(origin: str) -> int:
        path = "/ajax-api/2.0/mlflow/experiments/search"
        return tracking.ask(path, {"max_results": 1}, headers={"Origin": origin}).status

    assert search("https://mlflow.example.com") == 200
    assert search("https://evil.example.com") == 403


@pytest.mark.parametrize("body", [b"{nope", b"\xff\xfe", b'{"name": "x"'])
def test_invalid_json_is_the_clients_mistake(tracking: Service, body: bytes) -> None:
    answer = tracking.ask("/api/2.0/mlflow/experiments/create", body)
    assert answer.status == 400
    assert "error_code" in answer.body


@pytest.mark.parametrize(
    "path", ["a/../b", "..", "a/%2e%2e/b", "a/%252e%252e/b", "%252e%252e%252fb", "a/./b", "a//b", "a%5c..%5cb"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_artifact_path_that_climbs_is_refused(artifacts: Service, path: str, method: str) -> None:
    answer = artifacts.ask(
        f"/api/2.0/mlflow-artifacts/artifacts/{path}", b"x" if method == "PUT" else None, method=method
    )
    assert answer.status == 400
    assert answer.body["error_code"] == "INVALID_PARAMETER_VALUE"


def test_secrets_are_in_the_process_and_not_in_its_environment(shared: Platform) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("this system shows no environment of a process")
    services = [shared.start(role, ready=False, **warm.COLD) for role in ("tracking", "registry")]
    for service in services:
        eventually(lambda: service.ask("/live").status == 200, "live")  # noqa: B023 - now
        shown = Path(f"/proc/{service.program.process.pid}/environ").read_bytes()
        assert b"KEY_VAULT_URL=" in shown
        assert b"ENCRYPTION_KEY" not in shown
        assert b"PASSPHRASE" not in shown
        service.program.kill()


@pytest.mark.parametrize("role", ROLES)
def test_the_log_is_json_without_tokens(shared: Platform, services: dict[str, Service], role: str) -> None:
    log = services[role].log
    entries = [json.loads(line) for line in log.splitlines()]
    assert all({"time", "level", "logger", "message", "role"} <= set(entry) for entry in entries)
    assert {entry["role"] for entry in entries} == {role}
    assert "eyJ" not in log
    assert shared.environment(role)["IDENTITY_HEADER"] not in log


def test_sessions_are_seen_under_the_roles_name(shared: Platform, tracking: Service, registry: Service) -> None:
    for service in (tracking, registry):
        assert service.ready().status == 200
    with shared.plane.superuser() as cursor:
        cursor.execute("select distinct application_name, usename from pg_stat_activity where usename like 'mlflow-%'")
        sessions = set(cursor.fetchall())
    assert {("mlflow-tracking", "mlflow-tracking"), ("mlflow-registry", "mlflow-registry")} <= sessions


def test_wrong_settings_end_it_before_anything_starts(shared: Platform) -> None:
    ended = shared.run("tracking", PORT="x", MLFLOW_RUNTIME_PUBLIC_HOSTS="*", MLFLOW_RUNTIME_TRACKING_DATABASE_URL="")
    assert ended.returncode == 2
    entry = json.loads(ended.stderr)
    assert all(
        f"\n{name}: " in entry["message"]
        for name in ("PORT", "MLFLOW_RUNTIME_PUBLIC_HOSTS", "MLFLOW_RUNTIME_TRACKING_DATABASE_URL")
    )


def test_a_port_that_is_taken_ends_it_with_a_reason(shared: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = shared.run("artifacts", PORT=str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr


def test_no_more_handlers_are_at_work_than_there_are_connections() -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    def handle() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.01)
        with lock:
            at_work -= 1

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        if scope["type"] == "http":
            await anyio.to_thread.run_sync(handle)

    async def serve() -> None:
        limited = WorkerThreads(app, 4)
        await limited({"type": "lifespan"}, AsyncMock(), AsyncMock())
        await asyncio.gather(*(limited({"type": "http"}, AsyncMock(), AsyncMock()) for _ in range(16)))

    asyncio.run(serve())
    assert most == 4


def test_a_stop_that_was_asked_for_is_no_failure(shared: Platform) -> None:
    assert shared.start("artifacts").program.stop(signal.SIGTERM) == 0
