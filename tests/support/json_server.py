"""A server on this machine that answers JSON, as the REST APIs do that the product calls."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call. `query` has the first value of each name, `body` the JSON that was sent, None without a body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


Answer = tuple[int, Any, Mapping[str, str]]
"""Status, what is sent as JSON, and further headers."""


class JsonServer(ThreadingHTTPServer):
    """What it answers is a subclass's `respond`. `calls` has each call so far as `METHOD path`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def respond(self, request: Request) -> Answer | None:
        """Return the answer; None closes the connection without a word."""
        raise NotImplementedError

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with self:
            thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: JsonServer

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append(f"{self.command} {path}")
        answer = self.server.respond(
            Request(
                method=self.command,
                path=path,
                query={key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()},
                headers=dict(self.headers),
                body=json.loads(sent) if sent else None,
            )
        )
        if answer is None:
            self.close_connection = True
            return
        status, content, headers = answer
        data = json.dumps(content).encode()
        # The caller may be gone by now.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_PATCH(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""
