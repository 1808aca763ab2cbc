"""What a whole run leaves in the logs: every request by its id, and no credential."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.local.test_faults import held_down
from tests.support.answer import Answer
from tests.support.leaks import command_lines, files, leaks, secrets
from tests.support.load import light_load
from tests.support.local_stack import RunningStack, eventually

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
JSON = {"Content-Type": "application/json"}
# Nobody logs these, whatever a client puts there.
CANARY = f"canary-{uuid.uuid4()}"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, the status that it gets, and the service that answers; None is the gateway itself."""

    service: str | None
    method: str
    path: str
    status: int
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


def _call(service: str | None, method: str, path: str, status: int, body: bytes | None = None) -> Call:
    return Call(service=service, method=method, path=path, status=status, body=body)


CALLS = [
    _call("tracking", "POST", f"{API}/experiments/search", 200, b'{"max_results": 1}'),
    _call("tracking", "GET", f"{API}/experiments/get?experiment_id=999999", 404),
    _call("tracking", "POST", f"{API}/experiments/create", 400, b"{nope"),
    _call("tracking", "GET", "/no/such/route", 404),
    _call("tracking", "GET", "/", 200),
    _call("tracking", "POST", "/v1/traces", 422, b""),
    _call("tracking", "POST", "/ajax-api/3.0/mlflow/assistant/config", 403, b"{}"),
    _call("registry", "GET", f"{API}/registered-models/search", 200),
    _call("registry", "GET", "/model-versions/get-artifact?name=none&version=1&path=a", 404),
    _call("artifacts", "PUT", f"{ARTIFACTS}/ids/a.txt", 200, b"x"),
    _call("artifacts", "GET", f"{ARTIFACTS}/ids/a.txt", 200),
    _call("artifacts", "GET", f"{ARTIFACTS}/ids/none.txt", 404),
    _call(None, "GET", "/metrics", 404),
    _call(None, "GET", f"{ARTIFACTS}/a//b", 400),
    _call(None, "POST", f"{API}/runs/log-batch", 413, bytes((64 << 20) + 1)),
]


def _logged(stack: RunningStack, request_id: str) -> dict[str, list[dict[str, Any]]]:
    """The request lines of an id: of the gateway, and of every service that has one."""
    access = [entry for entry in stack.log_entries("gateway", request_id) if entry.get("request_id") == request_id]
    found = {"gateway": [entry for entry in access if str(entry.get("logger", "")).startswith("http.log.access")]}
    for process in ("tracking", "tracking-2", "registry", "artifacts"):
        lines = [
            entry
            for entry in stack.log_entries(process, request_id)
            if entry.get("request_id") == request_id and entry.get("logger") == "mlflow_runtime.request"
        ]
        if lines:
            found[process.removesuffix("-2")] = lines
    return found


def _expect(stack: RunningStack, call: Call, answer: Answer) -> None:
    """The answer is in the gateway's log and in that of the service that gave it, once in each, and in no other."""
    assert answer.status == call.status, (str(call), answer.content)
    request_id = answer.headers["X-Request-Id"]
    wanted = {"gateway", *([call.service] if call.service else [])}
    # A line is written when the answer is, so the last of them may be a moment behind it.
    eventually(lambda: {name for name, lines in _logged(stack, request_id).items() if lines} == wanted, what=str(call))
    logged = _logged(stack, request_id)
    assert {name: len(lines) for name, lines in logged.items()} == dict.fromkeys(wanted, 1)
    path = call.path.partition("?")[0]
    (access,) = logged["gateway"]
    assert (access["request"]["method"], access["request"]["uri"], access["status"]) == (call.method, path, call.status)
    if call.service:
        (line,) = logged[call.service]
        assert (line["method"], line["path"], line["status"]) == (call.method, path, call.status)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_answer_is_found_by_its_id_in_the_gateways_log_and_the_services(stack: RunningStack, call: Call) -> None:
    _expect(stack, call, stack.ask(call.path, method=call.method, data=call.body, headers=JSON))


def test_an_answer_in_a_fault_is_found_by_its_id_too(stack: RunningStack) -> None:
    with held_down(stack, "registry"):
        gone = _call(None, "GET", f"{API}/registered-models/search", 503)
        eventually(lambda: stack.ask(gone.path).status == 503, what="the gateway's notice of the registry's end")
        _expect(stack, gone, stack.ask(gone.path))
    with held_down(stack, "blobs"):
        silent = _call("artifacts", "PUT", f"{ARTIFACTS}/ids/b.txt", 503, b"x")
        _expect(stack, silent, stack.ask(silent.path, method="PUT", data=b"x", timeout=60))


@pytest.mark.usefixtures("made")
def test_a_run_with_faults_leaves_no_credential_anywhere(stack: RunningStack) -> None:
    _send_credentials(stack)
    experiment = stack.call("experiments/create", {"name": f"leaks-{uuid.uuid4()}"})["experiment_id"]
    with light_load(stack, experiment):
        for process in ("postgres", "tracking-2"):
            _kill(stack, process)
    answers: list[int] = []
    upload = threading.Thread(target=lambda: answers.append(_upload(stack)))
    upload.start()
    with held_down(stack, "blobs"):
        upload.join(90)
    assert answers, "the upload was answered"
    eventually(stack.healthy, what="health")
    logs = files(stack.local.layout.logs)
    assert logs.keys() >= {f"{name}.log" for name in (*stack.supervisor.pids(), "prepare")}
    assert "Traceback" in "".join(logs.values()), "the faults left something to search"
    exported = stack.pulumi("stack", "export").stdout
    assert "mlflow-tracking" in exported
    lines = command_lines(stack)
    assert any("mlflow-runtime" in line for line in lines.values())
    searched = {**logs, **lines, "the state": exported, "its file": stack.config_file.read_text()}
    assert leaks(searched, {**secrets(stack), "what a client sent": CANARY}) == []


def _kill(stack: RunningStack, process: str) -> None:
    before = stack.pid(process)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.supervisor.pids().get(process, before) != before, what=f"{process}'s return")
    eventually(stack.healthy, what="health")


def _send_credentials(stack: RunningStack) -> None:
    """Where clients put theirs, right and wrong: headers, queries, bodies, to each service, answered well and badly."""
    headers = {**JSON, "Authorization": f"Bearer {CANARY}", "Cookie": f"session={CANARY}", "X-Api-Key": CANARY}
    query = f"?sig={CANARY}&token={CANARY}&password={CANARY}"
    body = json.dumps({"password": CANARY, "name": None}).encode()
    for path in (
        f"{API}/experiments/search",
        f"{API}/registered-models/search",
        f"{ARTIFACTS}/no",
        "/no/such",
        f"{ARTIFACTS}/a//b",
    ):
        for method in ("GET", "POST"):
            stack.ask(f"{path}{query}", method=method, data=body if method == "POST" else None, headers=headers)


def _upload(stack: RunningStack) -> int:
    return stack.ask(f"{ARTIFACTS}/leaks/large.bin", method="PUT", data=bytes(48 << 20), timeout=90).status
