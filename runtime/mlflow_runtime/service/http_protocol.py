"""HTTP/1.1 as a service reads it: by uvicorn's protocol on httptools, with an end to what it takes before it acts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlflow_runtime.gateway.config import MAX_HEADER_BYTES

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# Room for whatever the gateway lets in: it adds headers, and writes a byte of a path that is not ASCII as three
# characters.
MAX_HEAD_BYTES: Final = 4 * MAX_HEADER_BYTES

MOST_AHEAD: Final = 16
"""Requests that a client may send ahead of its answers. The gateway sends none; each takes memory while it waits."""

LINGER_SECONDS: Final = 1
"""How long a connection takes what comes behind its refusal, unless its client leaves before."""

_VERSIONS: Final = ("1.0", "1.1")
_OF_A_BODY: Final = (b"content-length", b"transfer-encoding")


class NotTaken(Exception):  # noqa: N818 - it names what happened
    """The head of a request that is not taken, however well-formed it is."""


class _Joined(asyncio.Transport):
    """What one answer is written to: a head that is followed by a body at once goes out together with it.

    Each piece would be a packet of its own, for which the kernel wakes the gateway. A head is held only before a body:
    an answer that is complete is written, so nothing that the connection itself sends overtakes it.
    """

    def __init__(
        self, cycle: RequestResponseCycle, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._cycle = cycle
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, unless it is the head before a body."""
        if self._head is None and self._cycle.response_started and self._cycle.scope["method"] != "HEAD":
            self._head = bytes(data)
            self._loop.call_soon(self._send_head)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self._transport.write(data)

    def _send_head(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """End the connection, behind what was written."""
        self._send_head()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self._transport.is_closing()


class Protocol(HttpToolsProtocol):
    """One connection. A request that is malformed, or whose head has no end, gets 400 and the connection ends.

    httptools itself takes heads, extensions of chunks and trailers of any length. A 400 answers no request that came
    whole: behind one that is being answered the connection only ends, and no request that waits is carried out.
    """

    _unread = 0
    _moved = False
    _ends = False
    _running: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Read what came. Bytes that complete neither a head nor a message nor a part of a body are counted."""
        if self._ends:
            return
        self._moved = False
        super().data_received(data)
        self._unread = 0 if self._moved else self._unread + len(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("A head, an extension of a chunk or the trailers are too long.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what was read last, and read no more."""
        self._ends = True
        running = self._running
        if running is None or running.response_complete:
            self._refuse(msg)
        elif running.more_body:
            # Its own body is what is refused.
            running.disconnected = True
            running.message_event.set()
            if running.response_started:
                running.transport.close()  # behind its head
            else:
                self._refuse(msg)
        else:
            self.pipeline.clear()
            running.keep_alive = False
            # What is left unread when the connection closes may cost the client the answer.
            self.flow.resume_reading()

    def _refuse(self, text: str) -> None:
        """Answer with 400, and take what still comes for a while.

        A method that httptools does not know is refused before the rest of its head is here. To close then would reset
        the connection below the gateway, which still writes to it and would answer 502.
        """
        headers = (
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(text)),
            (b"connection", b"close"),
        )
        head = b"".join((b"HTTP/1.1 400 Bad Request\r\n", *(b"%b: %b\r\n" % each for each in headers), b"\r\n"))
        self.transport.write(head + text.encode("ascii"))
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered; those that wait are not carried out."""
        self.pipeline.clear()
        if self._running is not None:
            self.cycle = self._running
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._moved = True
        if self.parser.get_http_version() not in _VERSIONS or len(self.pipeline) >= MOST_AHEAD:
            raise NotTaken
        upgrades = self.parser.should_upgrade()
        # Of a request for another protocol httptools takes the body for the other protocol's.
        if upgrades and (self.parser.get_method() == b"CONNECT" or any(name in _OF_A_BODY for name, _ in self.headers)):
            raise NotTaken
        path, _, query = self.url.partition(b"?")
        decoded = unquote(path.decode("ascii"))
        # uvicorn has httptools divide the target, which refuses one of 64 KiB and changes one that names a host.
        self.url = b"/"
        super().on_headers_complete()
        self.scope["path"], self.scope["raw_path"], self.scope["query_string"] = decoded, path, query
        # Trailers come as more headers. They are the application's headers no more: who may do what was decided by
        # those that came first.
        self.headers = []
        if upgrades:
            # It is answered in HTTP/1.1. What its sender may say in the other protocol is no request.
            self.cycle.keep_alive = False
            self._ends = True

    def on_body(self, body: bytes) -> None:
        """Pass a part of a body on."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request's body."""
        self._moved = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        cycle.transport = _Joined(cycle, self.transport, self.loop)
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: any client may ask for another protocol, and is answered."""
