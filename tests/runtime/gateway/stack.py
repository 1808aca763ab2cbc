"""A real gateway process in front of small real HTTP servers whose behaviour a test chooses."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from tests.support.answer import Answer
from tests.support.ports import free_port
from tests.support.role_environment import given
from tests.support.waiting import until

RUNTIME = Path(__file__).parents[3] / "runtime"
START = "import os, sys; from mlflow_runtime.gateway import run; sys.exit(run(os.environ))"
PATIENCE_SECONDS = 30.0

REGISTRY_PATH = "/api/2.0/mlflow/registered-models/get"
ARTIFACT_PATH = "/api/2.0/mlflow-artifacts/artifacts/1/model.bin"
TRACKING_PATH = "/api/2.0/mlflow/runs/create"


@dataclass(frozen=True)
class Seen:
    """A request whose headers reached an upstream, and the address of the connection that it came on."""

    method: str
    path: str
    peer: tuple[str, int]


class Request(BaseHTTPRequestHandler):
    """One connection to an upstream; `behave` of the upstream answers each request on it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: Upstream

    def setup(self) -> None:
        self.upstream.connections.add(self.request)
        super().setup()

    def finish(self) -> None:
        self.upstream.connections.discard(self.request)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        if self.upstream.hangs_up:
            self.cut()
            return
        with contextlib.suppress(ConnectionError, ValueError):
            super().handle()

    def answer_any(self) -> None:
        if self.path == "/ready":
            self.reply(200 if self.upstream.ready else 503, b"{}")
            return
        self.upstream.seen.append(Seen(self.command, self.path, self.client_address))
        self.upstream.behave(self)

    def body(self) -> Iterator[bytes]:
        """The request body as it comes in; ends early if the peer goes away."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left and (part := self.rfile.read1(min(left, 1 << 16))):
            left -= len(part)
            yield part

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """Break the connection off without an answer."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


for _method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
    setattr(Request, f"do_{_method}", Request.answer_any)


def tell(request: Request) -> None:
    """Read everything, then say who answers and what was asked."""
    size = sum(len(part) for part in request.body())
    reported = {
        "upstream": request.upstream.name,
        "path": request.path,
        "size": size,
        "headers": request.headers.items(),
    }
    request.reply(200, json.dumps(reported).encode(), {"Content-Type": "application/json"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections are cut on purpose here."""


@dataclass
class Upstream:
    """A replica of a service. `stop` is what a kill looks like from outside; `start` brings it back on its port.

    `stop` returns when its peers have seen the end of their connections: a request that they send on one which they do
    not know to be dead is lost, and only some may be sent again.

    `hangs_up` closes each connection before anything is read.
    """

    name: str
    port: int = field(default_factory=free_port)
    ready: bool = True
    hangs_up: bool = False
    behave: Callable[[Request], None] = tell
    seen: list[Seen] = field(default_factory=list, repr=False)
    connections: set[socket.socket] = field(default_factory=set, repr=False)
    tls: Any = None
    _server: _Server | None = None

    def start(self) -> None:
        handler = type("Handler", (Request,), {"upstream": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        until(self._cut_off, f"no peer has a connection to {self.name}", PATIENCE_SECONDS)

    def reset(self) -> None:
        self.ready, self.hangs_up, self.behave = True, False, tell
        self.seen.clear()
        if self._server is None:
            self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _cut_off(self) -> bool:
        """End each connection; return whether no peer has one left that it could send on."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        open_states = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
        return not any(
            end.raddr and end.raddr.port == self.port and end.status in open_states
            for end in psutil.net_connections("tcp")
        )


@dataclass
class Gateway:
    """A gateway process, started through `mlflow_runtime.gateway.run` as the image does."""

    upstreams: Mapping[str, list[Upstream]]
    log_file: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(RUNTIME),
            **given("gateway"),
            "MLFLOW_RUNTIME_DRAIN_SECONDS": "0",
            "PORT": str(self.port),
            "MLFLOW_RUNTIME_PUBLIC_HOSTS": f"{self.host},mlflow.example.com",
            **{
                f"MLFLOW_RUNTIME_{role.upper()}_UPSTREAMS": ",".join(replica.address for replica in replicas)
                for role, replicas in self.upstreams.items()
            },
            **self.extra,
        }

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self._is_live, "the gateway answers /live", PATIENCE_SECONDS)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own. A body that is an iterator is sent chunked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            # A refusal may come before the end of the body, and then the rest cannot be sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, {"Host": self.host, **(headers or {})}, encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def raw(self, request: bytes) -> bytes:
        """Send bytes as they are and read until the gateway closes."""
        with self.connect() as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    def listens(self) -> bool:
        """Whether this process listens at the port, which another one may do as well."""
        ends = psutil.Process(self.pid).net_connections("tcp")
        return any(end.status == psutil.CONN_LISTEN and end.laddr.port == self.port for end in ends)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def access(self, answer: Answer) -> dict[str, Any]:
        """The access log line of an answer."""
        request_id = answer.headers["X-Request-Id"]

        def lines() -> list[dict[str, Any]]:
            return [line for line in self.log() if line.get("request_id") == request_id and "status" in line]

        (line,) = until(lines, f"an access log line of {request_id}", PATIENCE_SECONDS)
        return line

    def _is_live(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log_file.read_text()
        try:
            return self.call("GET", "/live").status == 200
        except OSError:
            return False
