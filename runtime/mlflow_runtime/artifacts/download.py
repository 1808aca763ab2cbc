"""A blob to a client, block by block: whole, or a range of it."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobClient
from mlflow.exceptions import MlflowException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from werkzeug.http import parse_etags, unquote_etag

from mlflow_runtime.artifacts.byte_range import OutsideError, Span, span
from mlflow_runtime.artifacts.memory import DOWNLOAD_BLOCK, FIRST_BLOCK, PIECE, TAKE_SECONDS, Blocks
from mlflow_runtime.artifacts.repository import clear_errors
from mlflow_runtime.middleware.load_shedding import LimitRefusal, begin_transfer

_log = logging.getLogger(__name__)


async def download(blob: BlobClient, request: Request, headers: Mapping[str, str], memory: Blocks) -> Response:
    """The answer with `headers` to a GET or HEAD. Raises AzureError, before the answer begins.

    A blob that is replaced in the middle breaks the answer off: what was sent is never a mixture.
    """
    asked = request.headers
    found = await memory.run(blob.get_blob_properties)
    size, etag = int(found.size), str(found.etag)
    headers = {**headers, "ETag": etag, "Accept-Ranges": "bytes"}
    if parse_etags(asked.get("if-none-match")).contains_weak(unquote_etag(etag)[0]):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(size)})
    try:
        part = span(asked.get("range"), size) if asked.get("if-range", etag) == etag else None
    except OutsideError:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    whole = Span(0, size, size)
    headers["Content-Length"] = str((part or whole).length)
    if part is not None:
        headers["Content-Range"] = part.content_range
    if refusal := memory.refusal():
        return LimitRefusal(refusal)
    begin_transfer(request.scope)
    content = _pieces(blob, part or whole, etag, memory)
    return _Transfer(content, memory, status_code=200 if part is None else 206, headers=headers)


class _Transfer(StreamingResponse):
    """An answer that counts as a transfer until its client has all of it or is gone."""

    def __init__(self, content: AsyncIterator[bytes], memory: Blocks, **options: Any) -> None:
        super().__init__(content, **options)
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._memory.transfer():
            await super().__call__(scope, receive, send)


async def _pieces(blob: BlobClient, part: Span, etag: str, memory: Blocks) -> AsyncIterator[bytes]:
    at, end = part.start, part.start + part.length
    length = FIRST_BLOCK
    while at < end:
        # Comes back when the connection has room, so that who waits for a slow client holds no block.
        yield b""
        async with memory.one() as lent:
            try:
                with clear_errors():
                    read = partial(_read, blob, at, min(length, end - at), etag)
                    lent.content = await memory.run(read)
            except MlflowException as error:
                # The answer has begun: the client sees that it is too short, and its reason is here alone.
                _log.warning("a download broke off: %s", error.message)
                raise
            begun = time.monotonic()
            # A block that others wanted meanwhile is gone: the rest of it is read again.
            with memory.kept_until_wanted(lent):
                start = at
                while piece := lent.content[at - start : at - start + PIECE]:
                    at += len(piece)
                    yield piece
            # A slow client gets what its connection takes at once, so that it holds a block only while that is read.
            length = min(2 * length, DOWNLOAD_BLOCK) if time.monotonic() - begun < TAKE_SECONDS else PIECE


def _read(blob: BlobClient, start: int, length: int, etag: str) -> bytes:
    unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    return bytes(blob.download_blob(start, length, **unchanged).readall())
