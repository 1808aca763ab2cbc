"""A proxy before the server that breaks what a test wants broken."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "date", "server"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the client gets."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


Forward = Callable[[], Answer]
# Gets the method, the path with its query and a function that asks the server; returns what the client gets.
Fault = Callable[[str, str, Forward], Answer]


@dataclass(kw_only=True)
class Proxy:
    """`url` stands for the server's; `authorizations` are the Authorization headers seen."""

    url: str
    authorizations: set[str | None] = field(default_factory=set)


@contextmanager
def proxy(server_url: str, fault: Fault, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """Forwards to the server until the block ends."""
    seen = Proxy(url="")
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(server_url).netloc, fault, seen))
    listener.daemon_threads = True
    listener.block_on_close = False
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    seen.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _handler(upstream: str, fault: Fault, seen: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self._body()
            seen.authorizations.add(self.headers.get("Authorization"))
            answer = fault(self.command, self.path, lambda: self._forward(body))
            try:
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except OSError:
                self.close_connection = True  # the client has gone away

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _forward(self, body: bytes) -> Answer:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            kept = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
            answer = Answer(status=response.status, headers=kept, body=response.read())
            connection.close()
            return answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
