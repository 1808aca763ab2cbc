"""What is no HTTP, byte by byte: bad chunks, wrong lengths, clients that leave in the middle."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from hypothesis import strategies as st

from tests.end_to_end.fuzz.asking import Answer

# Longer than the gateway waits for a header, 10 s. Where it waits for a body it learns that none comes.
_PATIENCE_SECONDS: Final = 30.0

_LINES: Final = (
    *(b"POST /api/2.0/mlflow/experiments/search HTTP/1.1", b"POST /api/2.0/mlflow/registered-models/create HTTP/1.1"),
    *(b"PUT /api/2.0/mlflow-artifacts/artifacts/broken HTTP/1.1", b"POST /v1/traces HTTP/1.1", b"GET / HTTP/1.1"),
    *(b"GET / HTTP/9.9", b"GET / HTTP/1.0", b"GET /\x00 HTTP/1.1", b"GET /a b HTTP/1.1", b"GET", b"", b"\x16\x03\x01"),
    *(b"PRI * HTTP/2.0", b"CONNECT a:1 HTTP/1.1", b"GET http://evil.example/ HTTP/1.1", b"GET /" + b"a" * 70_000),
)
_HEADERS: Final = (
    *(b"Content-Length: 10", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 1x"),
    *(
        b"Content-Length: 10\r\nContent-Length: 11",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 67108865",
    ),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"Transfer-Encoding: gzip"),
    *(b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked, chunked"),
    *(b"Expect: 100-continue\r\nContent-Length: 10", b"a b: c", b": c", b" folded", b"X: \x00", b"X: " + b"a" * 70_000),
)
_BODIES: Final = (
    *(
        b"",
        b"{}",
        b'{"a": 1}' * 9,
        b"2\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n",
        b"z\r\n{}\r\n",
        b"-1\r\n",
        b"0\r\nX: \x00\r\n\r\n",
    ),
    *(
        b"ffffffffffffffffff\r\n{}",
        b"5\r\n{}",
        b"2;" + b"x" * 20_000 + b"\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}X\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
    ),
    *(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 1000),
)
# Of the gateway's HTTP part and its own refusals, and of MLflow where enough was whole to get there. 100 comes before
# the answer to a client that expects it; 503 is a refusal that can be sent again.
_ALLOWED: Final = range(100, 500)
_ALLOWED_ABOVE: Final = (501, 503, 505)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Bytes for the wire. `stays`: the client waits for the answer; otherwise it is gone once it has sent them."""

    data: bytes
    stays: bool

    def __str__(self) -> str:
        shown = repr(self.data if len(self.data) <= 300 else self.data[:300])
        return f"{shown} ({len(self.data)} bytes{'' if self.stays else ', then gone'})"


@st.composite
def broken(draw: st.DrawFn, host: str) -> Broken:
    """A request with at least one thing wrong in most cases; one that is right by chance does no harm."""
    headers = [b"Host: " + host.encode(), b"Content-Type: application/json", draw(st.sampled_from(_HEADERS))]
    end = draw(st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")))
    head = end.join([draw(st.sampled_from(_LINES)), *headers, b"", b""])
    data = head + draw(st.sampled_from(_BODIES))
    cut = draw(st.one_of(st.just(len(data)), st.just(len(data)), st.integers(0, len(data))))
    return Broken(data=data[:cut], stays=draw(st.sampled_from((True, True, False))))


def send(url: str, request: Broken) -> Answer | None:
    """What comes back; None where the server, or this client, just closes. Silence is an answer with status 0."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=_PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(request.data)
            if not request.stays:
                return None
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            return Answer(status=0, body=f"no answer in {_PATIENCE_SECONDS:g} s".encode())
        except OSError:
            # A refusal may overtake what is still being sent.
            return None
    found = re.match(rb"HTTP/1\.[01] (\d{3})", received)
    return Answer(status=int(found[1]), body=received) if found else None


def wrong(answer: Answer | None) -> str | None:
    """Why this is no answer to what is no HTTP: silence, or a failure that names the server as the culprit."""
    if answer is None or answer.status in _ALLOWED or answer.status in _ALLOWED_ABOVE:
        return None
    return f"{answer.status} {answer.body[-200:].decode('utf-8', 'backslashreplace')}"
