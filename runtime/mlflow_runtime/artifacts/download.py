"""A blob to a client, block by block: whole, or a range of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

from azure.core import MatchConditions
from azure.storage.blob import BlobClient
from mlflow.exceptions import MlflowException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from werkzeug.http import parse_etags, unquote_etag

from mlflow_runtime.artifacts.byte_range import OutsideError, Span, span
from mlflow_runtime.artifacts.memory import DOWNLOAD_BLOCK, Blocks
from mlflow_runtime.artifacts.repository import clear_errors

_log = logging.getLogger(__name__)

# No more than the connection's own buffer takes at a time.
_PIECE: Final = 1 << 16


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
    content = _pieces(blob, part or whole, etag, memory)
    return StreamingResponse(content, status_code=200 if part is None else 206, headers=headers)


async def _pieces(blob: BlobClient, part: Span, etag: str, memory: Blocks) -> AsyncIterator[bytes]:
    at, end = part.start, part.start + part.length
    while at < end:
        async with memory.one() as lent:
            try:
                with clear_errors():
                    read = partial(_read, blob, at, min(DOWNLOAD_BLOCK, end - at), etag)
                    lent.content = await memory.run(read)
            except MlflowException as error:
                # The answer has begun: the client sees that it is too short, and its reason is here alone.
                _log.warning("a download broke off: %s", error.message)
                raise
            # A block that others wanted meanwhile is gone: the rest of it is read again.
            with memory.kept_until_wanted(lent):
                start = at
                while piece := lent.content[at - start : at - start + _PIECE]:
                    at += len(piece)
                    yield piece


def _read(blob: BlobClient, start: int, length: int, etag: str) -> bytes:
    unchanged: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    return bytes(blob.download_blob(start, length, **unchanged).readall())
