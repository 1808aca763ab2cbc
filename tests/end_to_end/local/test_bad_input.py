"""What the gateway and the services refuse, and how they say so."""

from __future__ import annotations

import http.client
import json
import uuid

import pytest

from tests.support.local_stack import RunningStack

OWN_ROUTES = {
    "tracking": "/api/2.0/mlflow/experiments/search?max_results=1",
    "registry": "/api/2.0/mlflow/registered-models/search",
    "artifacts": "/api/2.0/mlflow-artifacts/artifacts",
}


def test_a_body_over_the_limit_is_refused(stack: RunningStack) -> None:
    answer = stack.ask("/api/2.0/mlflow/runs/log-batch", data=bytes((64 << 20) + 1))
    assert answer.status == 413
    assert "64" in answer.body["message"]


@pytest.mark.parametrize("service", OWN_ROUTES)
@pytest.mark.parametrize("other", OWN_ROUTES)
def test_a_service_asked_directly_serves_its_own_routes_only(stack: RunningStack, service: str, other: str) -> None:
    answer = stack.ask(OWN_ROUTES[other], port=stack.port(service), headers={"Host": stack.url.partition("//")[2]})
    assert answer.status == (200 if service == other else 404)
    if service != other:
        assert service in answer.body["message"]


@pytest.mark.parametrize(
    ("method", "call"),
    [("PUT", "config"), ("POST", "message"), ("POST", "skills/install"), ("GET", "providers/ollama/health")],
)
def test_the_assistant_starts_nothing_on_the_server(stack: RunningStack, method: str, call: str) -> None:
    path = f"/ajax-api/3.0/mlflow/assistant/{call}"
    assert stack.ask(path, method=method, data=b"{}" if method != "GET" else None).status == 403
    assert stack.ask("/ajax-api/3.0/mlflow/assistant/config").status == 200


@pytest.mark.parametrize("process", ["gateway", "tracking", "registry", "artifacts"])
def test_an_unknown_host_header_is_refused(stack: RunningStack, process: str) -> None:
    path = OWN_ROUTES.get(process, "/")
    assert stack.ask(path, port=stack.port(process), headers={"Host": "evil.example"}).status == 403


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-User",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X_MS_CLIENT_PRINCIPAL_NAME",
        "Remote-User",
        "X-Auth-Request-User",
    ],
)
def test_a_forged_identity_header_changes_nothing(stack: RunningStack, header: str) -> None:
    forged = f"forged-{uuid.uuid4()}"
    experiment = stack.call("experiments/create", {"name": f"header-{uuid.uuid4()}"})["experiment_id"]
    answer = stack.ask(
        "/api/2.0/mlflow/runs/create",
        data=json.dumps({"experiment_id": experiment}).encode(),
        headers={"Content-Type": "application/json", header: forged},
    )
    assert answer.status == 200
    assert forged not in answer.content.decode()
    logs = [path.read_text(errors="replace") for path in stack.local.layout.logs.glob("tracking*.log")]
    assert logs
    assert not any(forged in log for log in logs)


@pytest.mark.parametrize("body", [b"{", b"[1, 2", b"\xff\xfe", b"text"])
def test_what_is_no_json_is_a_bad_request(stack: RunningStack, body: bytes) -> None:
    answer = stack.ask("/api/2.0/mlflow/runs/create", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400, answer.content


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "%2e%2e/secret", "a/%2e%2e/%2e%2e/secret", "..%2fsecret", "%252e%252e/secret"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_artifact_path_that_climbs_is_refused(stack: RunningStack, path: str, method: str) -> None:
    # http.client sends the path as it is; most other clients would resolve the dots themselves.
    connection = http.client.HTTPConnection(stack.url.partition("//")[2], timeout=30)
    connection.request(method, f"/api/2.0/mlflow-artifacts/artifacts/{path}", body=b"x" if method == "PUT" else None)
    answer = connection.getresponse()
    assert answer.status in (400, 404), (answer.status, answer.read())
    connection.close()
