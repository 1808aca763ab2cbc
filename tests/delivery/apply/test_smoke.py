"""Whether the smoke program is run after an `up`, and how its end is read."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from delivery.apply.record import Smoke, SmokeResult
from delivery.apply.smoke import smoke

NOBODY = "http://127.0.0.1:1"


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_gateway_that_only_its_network_reaches_is_no_failure_unless_it_was_asked_for() -> None:
    unasked, asked = smoke(NOBODY, asked=False), smoke(NOBODY, asked=True)
    assert (unasked.result, asked.result) == (SmokeResult.NOT_RUN, SmokeResult.FAILED)
    assert f"{NOBODY} cannot be reached" in unasked.reason
    assert smoke("", asked=False).reason == "the stack has no output url: no service runs yet"
    assert smoke("no url", asked=True).result is SmokeResult.FAILED


STEPS = [{"name": "runs", "state": "passed", "detail": ""}, {"name": "search", "state": "failed", "detail": "none"}]


@pytest.mark.parametrize(
    ("code", "printed", "found"),
    [
        (0, "", Smoke(result=SmokeResult.PASSED)),
        (1, json.dumps({"steps": STEPS}), Smoke(result=SmokeResult.FAILED, reason="search: none")),
        (1, json.dumps({"steps": STEPS[:1]}), Smoke(result=SmokeResult.FAILED, reason="exit code 1")),
        (2, "", Smoke(result=SmokeResult.FAILED, reason="exit code 2")),
    ],
)
def test_the_programs_end_is_read(
    url: str, code: int, printed: str, found: Smoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, code, printed)

    monkeypatch.setattr(subprocess, "run", run)
    assert smoke(url, asked=False) == found
    assert commands[0][1:] == ["-m", "delivery", "smoke", url, "--json"]
