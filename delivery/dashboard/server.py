"""The page and its data over HTTP: read only, on this machine only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from components.compute.local.processes import HOST
from delivery.dashboard import document
from delivery.dashboard.scraping import EVERY_SECONDS, KEPT_SECONDS, History

_WEB = Path(__file__).with_name("web")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Content = Callable[[], bytes]


def serve(history: History, charts: Path, port: int) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 that is listening; the caller runs it. `charts` is the folder with uPlot.

    It answers only who names it by this machine's names, so that no page of another site can read it by way of a name
    that it made point here. Raises OSError where the port is taken.
    """
    content = _content(history, charts)
    names: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = content.get(self.path.partition("?")[0])
            if self.headers.get("Host") not in names:
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"Call it by the address that it printed.\n")
            elif found is None:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"There is no such page.\n")
            else:
                self._answer(HTTPStatus.OK, found[0], found[1]())

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the terminal belongs to who started it."""

    server = ThreadingHTTPServer((HOST, port), Handler)
    names.update(f"{name}:{server.server_port}" for name in (HOST, "localhost"))
    return server


def _content(history: History, charts: Path) -> dict[str, tuple[str, Content]]:
    def data() -> bytes:
        readings = history.readings()
        reported = document.chart(readings, now=time.time(), every=EVERY_SECONDS, kept=KEPT_SECONDS)
        return json.dumps(reported, allow_nan=False).encode()

    script, style = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
    return {
        "/": ("text/html; charset=utf-8", (_WEB / "index.html").read_bytes),
        "/page.js": (script, (_WEB / "page.js").read_bytes),
        "/page.css": (style, (_WEB / "page.css").read_bytes),
        "/uplot.js": (script, (charts / "uPlot.iife.min.js").read_bytes),
        "/uplot.css": (style, (charts / "uPlot.min.css").read_bytes),
        "/data.json": ("application/json", data),
    }
