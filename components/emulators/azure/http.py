"""A small threaded HTTP/1.1 server for functions from request to response, on 127.0.0.1 only."""

from __future__ import annotations

import http.server
import json
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

LOOPBACK = "127.0.0.1"
BODY_LIMIT = 1024 * 1024
DISCARD_LIMIT = 16 * BODY_LIMIT
IDLE_SECONDS = 120.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """`path` is decoded and without the query; the names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """`body` is sent as JSON; None sends no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Response]


class Server(http.server.ThreadingHTTPServer):
    """One port. With `tls` it speaks HTTPS; a client's slow handshake holds up nobody else."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise OSError(
                error.errno, f"Cannot listen on {LOOPBACK}:{port} ({error.strerror}); free that port or choose another."
            ) from error
        self.answer = answer
        self._tls = tls

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the name, which can take seconds and serves nothing here."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its handshake is left to its own thread."""
        connection, address = super().get_request()
        connection.settimeout(IDLE_SECONDS)
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that goes away or does not trust the certificate is no fault of this program."""
        log.debug("connection ended", exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    server: Server

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            return self._refuse(Response(411))
        if int(length) > BODY_LIMIT:
            # A client reads the answer only when it could send its body.
            self.rfile.read(min(int(length), DISCARD_LIMIT))
            return self._refuse(Response(413))
        body = self.rfile.read(int(length))
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(url.path),
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            response = self.server.answer(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = Response(500, {"error": {"code": "InternalServerError", "message": "See the program's log."}})
        return self._send(response)

    do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _refuse(self, response: Response) -> None:
        # The body stays unread, so nothing more can be read from this connection.
        self.close_connection = True
        self._send(response)

    def _send(self, response: Response) -> None:
        content = b"" if response.body is None else json.dumps(response.body).encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if content:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if response.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def version_string(self) -> str:
        return "local"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002
        # Without the query and the headers: they hold what must not be logged.
        path = urlsplit(self.path).path
        log.log(logging.DEBUG if path == "/ready" else logging.INFO, "%s %s %s", self.command, path, code)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)
