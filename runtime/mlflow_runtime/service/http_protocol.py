"""HTTP/1.1 as a service reads it: by uvicorn's protocol on httptools, with an end to what it takes before it acts."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlflow_runtime.gateway.config import MAX_HEADER_BYTES

# Room for whatever the gateway lets in: it adds headers, and writes a byte of a path that is not ASCII as three
# characters.
MAX_HEAD_BYTES: Final = 4 * MAX_HEADER_BYTES

MOST_AHEAD: Final = 16
"""Requests that a client may send ahead of its answers. The gateway sends none; each takes memory while it waits."""


class NotTaken(Exception):  # noqa: N818 - it names what happened
    """The head of a request that is not taken, however well-formed it is."""


class Protocol(HttpToolsProtocol):
    """One connection. A request that is malformed, or whose head has no end, gets 400 and the connection ends.

    httptools itself takes heads, extensions of chunks and trailers of any length.
    """

    _unread = 0
    _moved = False

    def data_received(self, data: bytes) -> None:
        """Read what came. Bytes that complete neither a head nor a message nor a part of a body are counted."""
        self._moved = False
        super().data_received(data)
        self._unread = 0 if self._moved else self._unread + len(data)
        if self._unread > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("A head, an extension of a chunk or the trailers are too long.")

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._moved = True
        # Of a request for another protocol httptools takes the body for the other protocol's.
        if self.parser.should_upgrade() or len(self.pipeline) >= MOST_AHEAD:
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

    def on_body(self, body: bytes) -> None:
        """Pass a part of a body on."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request's body."""
        self._moved = True
        super().on_message_complete()
