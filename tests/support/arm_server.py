"""A server that answers as Azure Resource Manager does, and a clock without waiting."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from components.azure.arm import Arm

Answer = tuple[int, dict[str, Any], dict[str, str]]
NOT_FOUND: Answer = (404, {"error": {"code": "ResourceNotFound", "message": "none"}}, {})


class ArmServer(ThreadingHTTPServer):
    """What it holds is a subclass's `answer`; `refusals` (method, status, headers) come before any other answer.

    `calls` are the requests so far, `bodies` what was sent with each POST.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusals: list[tuple[str, int, dict[str, str]]] = []
        self.calls: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str) -> Answer | None:
        """Status, body and headers; None closes the connection without a word."""
        raise NotImplementedError

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with self:
            thread = threading.Thread(target=self.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield
            finally:
                self.shutdown()
                thread.join()


class Handler(BaseHTTPRequestHandler):
    server: ArmServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.bodies.append(json.loads(sent or b"{}"))
        self._handle("POST")

    def do_GET(self) -> None:
        self._handle("GET")

    def _handle(self, method: str) -> None:
        server, (path, _, query) = self.server, self.path.partition("?")
        server.calls.append(f"{method} {path}")
        assert self.headers["Authorization"] == "Bearer token"
        assert "api-version=" in query
        answer: Answer | None
        if server.refusals and server.refusals[0][0] == method:
            _, status, headers = server.refusals.pop(0)
            answer = status, {"error": {"code": f"E{status}", "message": "not now"}}, headers
        else:
            answer = server.answer(method, path)
        if answer is None:
            self.close_connection = True
        else:
            self._send(*answer)

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client_of(server: ArmServer, clock: Clock, **changes: Any) -> Arm:
    values: dict[str, Any] = {
        "api_version": "2025-01-01",
        "token": lambda _: "token",
        "clock": lambda: clock.now,
        "sleep": clock.sleep,
    }
    return Arm(endpoint=server.url, **(values | changes))
