"""The program against a server with faults: what fails is named, nothing is left behind, and it always ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from delivery.smoke.steps.table import STEPS
from tests.delivery.smoke.conftest import Smoke, finish
from tests.delivery.smoke.proxy import Answer, Forward, proxy
from tests.delivery.smoke.server import Server
from tests.support.ports import free_port


@pytest.fixture
def until_teardown() -> Iterator[threading.Event]:
    """What a request waits for that never gets an answer."""
    event = threading.Event()
    yield event
    event.set()


def test_names_each_step_that_fails_and_cleans_up(server: Server, smoke: Smoke) -> None:
    def fault(method: str, path: str, forward: Forward) -> Answer:
        if path == "/graphql":
            return Answer(status=500, body=b"the graph is gone")
        if path == "/v1/traces" and method == "POST":
            return Answer(status=404, body=b"no such route")
        if "/mlflow-artifacts/artifacts/" in path and method == "GET" and path.endswith("/summary.txt"):
            answer = forward()
            return Answer(status=answer.status, headers=answer.headers, body=answer.body[:-1] + b"?")
        if path.startswith("/static-files/"):
            return Answer(status=200, headers=[("Content-Type", "text/html")], body=b"<!doctype html>")
        return forward()

    before = server.holdings()
    with proxy(server.url, fault) as front:
        finished = smoke(front.url, "--quick", "--json")

    assert finished.code == 1
    failed = {name for name, state in finished.states.items() if state == "failed"}
    assert failed == {"small artifacts", "trace by OTLP", "UI page", "UI graphql"}
    assert "SHA-256 of summary.txt" in finished.detail("small artifacts")
    assert "POST /graphql answered 500: the graph is gone" in finished.detail("UI graphql")
    assert "POST /v1/traces answered 404: no such route" in finished.detail("trace by OTLP")
    assert "expected a script" in finished.detail("UI page")
    unrun = {name for name, state in finished.states.items() if state == "not run"}
    assert unrun == {"search traces", "UI run artifacts"}
    assert finished.detail("search traces") == "needs trace by OTLP"
    assert finished.document["passed"] is False
    assert server.holdings() == before


def test_wrong_content_with_a_good_status_fails(server: Server, smoke: Smoke) -> None:
    def fault(method: str, path: str, forward: Forward) -> Answer:
        if path.startswith(("/get-artifact", "/model-versions/get-artifact")):
            return Answer(status=200, body=b"<!doctype html>")
        if path == "/graphql":
            return Answer(status=200, body=b'{"data": {"mlflowGetRun": null}, "errors": null}')
        if "/metrics/get-history" in path:
            history = json.loads(forward().body)
            history["metrics"].pop()
            return Answer(status=200, body=json.dumps(history).encode())
        if method == "DELETE" and "/mlflow-artifacts/" in path:
            return Answer(status=403, body=b"no deleting here")
        return forward()

    with proxy(server.url, fault) as front:
        finished = smoke(front.url, "--quick")

    assert finished.code == 1
    lines = finished.output.splitlines()
    end = next(number for number, line in enumerate(lines) if line.startswith("smoke FAILED"))
    reasons = "\n".join(lines[end:])
    assert "  metrics: history of curve_0: found " in reasons
    assert "  UI run artifacts: /get-artifact of summary.txt: found " in reasons
    assert "  UI model artifacts: MLmodel of the version: " in reasons
    assert "not run: needs metrics" in finished.output
    assert "  clean up: 1 kinds of things are left over" in reasons
    assert "  left over: artifacts of experiment smoke-" in reasons
    assert "no deleting here" in reasons


def test_a_request_that_hangs_ends_with_the_time(server: Server, smoke: Smoke, until_teardown: threading.Event) -> None:
    def fault(_method: str, path: str, forward: Forward) -> Answer:
        if path.endswith("/runs/log-batch"):
            until_teardown.wait()
        return forward()

    before = server.holdings()
    with proxy(server.url, fault) as front:
        finished = smoke(front.url, "--json", "--timeout", "5")

    assert finished.code == 1
    assert finished.states["experiment"] == "passed"
    assert finished.states["run"] == "failed"
    assert finished.detail("run") == "time-out: not done after 5 s"
    assert finished.states["metrics"] == "not run"
    assert finished.detail("clean up") == "nothing left behind"
    assert server.holdings() == before


def test_cleans_up_when_interrupted(
    server: Server,
    start: Callable[..., subprocess.Popen[str]],
    until_teardown: threading.Event,
) -> None:
    reached = threading.Event()

    def fault(_method: str, path: str, forward: Forward) -> Answer:
        if path == "/graphql":
            reached.set()
            until_teardown.wait()
        return forward()

    before = server.holdings()
    with proxy(server.url, fault) as front:
        process = start(front.url, "--quick", "--json")
        assert reached.wait(120)
        during = server.holdings()
        process.send_signal(signal.SIGINT)
        finished = finish(process)

    assert len(during["registered models"]) == len(before["registered models"]) + 1
    assert len(during["files"]) > len(before["files"])
    assert finished.code == 130
    assert finished.detail("UI graphql") == "interrupted by SIGINT"
    assert finished.states["run finished"] == "not run"
    assert finished.detail("clean up") == "nothing left behind"
    assert server.holdings() == before


def test_nobody_at_the_address(smoke: Smoke) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    finished = smoke(url, "--json")
    assert finished.code == 2
    assert json.loads(finished.output)["error"]["code"] == 2
    assert finished.errors.startswith(f"{url} cannot be reached: ")
    assert "refused" in finished.errors


def test_a_server_that_never_answers(smoke: Smoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        finished = smoke(f"http://127.0.0.1:{mute.getsockname()[1]}", "--json", "--timeout", "3")
    assert finished.code == 1
    assert finished.states == {step.name: "failed" if step.name == "server" else "not run" for step in STEPS}
    assert finished.detail("server") == "time-out: not done after 3 s"


def test_a_server_that_is_no_mlflow(smoke: Smoke) -> None:
    def fault(_method: str, _path: str, _forward: Forward) -> Answer:
        return Answer(status=200, body=b"<html>a shop</html>")

    with proxy("http://127.0.0.1:9", fault) as front:
        finished = smoke(front.url)
    assert finished.code == 1
    assert "is this an MLflow server?" in finished.output
    assert "clean up" not in finished.output
