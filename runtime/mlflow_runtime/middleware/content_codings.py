"""Bodies that come compressed, unpacked before MLflow sees them, and only as far as a body may be large.

A few hundred kilobytes may unpack to gigabytes. MLflow unpacks what it takes whole, in one go.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.responses import Failure

MOST_CODINGS: Final = 2
_STEP: Final = 64 << 10
_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS

Unpack = Callable[[Iterable[bytes]], Iterator[bytes]]


class TooLarge(Exception):  # noqa: N818 - it names what happened
    """A body, or what it unpacks to, is larger than a body may be."""


class Damaged(Exception):  # noqa: N818
    """A body does not unpack."""


class ContentCodings:
    """ASGI middleware that takes the codings of `CODINGS` from requests; at most `limit` bytes come out."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = codings(Headers(scope=scope)) if scope["type"] == "http" else ()
        if not names:
            await self._app(scope, receive, send)
            return
        try:
            unpacking = [CODINGS[name] for name in names if name != "identity"]
            if len(unpacking) > MOST_CODINGS:
                raise KeyError
        except KeyError:
            await _refuse(unsupported(names), send, {"Accept-Encoding": ", ".join(sorted(CODINGS))})
            return
        try:
            packed = [part async for part in _body(receive, self._limit)]
            size = 0
            # Once to see how large it is, so that one that is too large is never in memory.
            for part in unpacked(packed, unpacking, self._limit):
                size += len(part)
                await asyncio.sleep(0)  # others go on meanwhile
        except TooLarge:
            await _refuse(too_large(self._limit), send)
            return
        except Damaged:
            await _refuse(damaged(names), send)
            return
        headers = MutableHeaders(raw=list(scope["headers"]))
        del headers["content-encoding"]
        del headers["transfer-encoding"]
        headers["content-length"] = str(size)
        parts = unpacked(packed, unpacking, self._limit)
        await self._app({**scope, "headers": headers.raw}, _received(parts, receive), send)


def codings(headers: Headers) -> tuple[str, ...]:
    """Return the names of a request's codings in the order in which they were applied."""
    given = ",".join(headers.getlist("content-encoding"))
    return tuple(name.strip().lower() for name in given.split(",") if name.strip())


def unpacked(packed: Iterable[bytes], unpacking: Iterable[Unpack], limit: int) -> Iterator[bytes]:
    """Take the codings off, the last one first; each of them gives at most `limit` bytes. TooLarge or Damaged."""
    parts: Iterable[bytes] = packed
    for unpack in reversed(list(unpacking)):
        parts = _bounded(unpack(parts), limit)
    return iter(parts)


def _bounded(parts: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > limit:
            raise TooLarge
        yield part


def _gunzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    return _inflate(parts, lambda _first: _GZIP)


def _deflated(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Deflate with its header, as HTTP defines it, or without, as some clients send it."""
    return _inflate(parts, lambda first: zlib.MAX_WBITS if first and first[0] & 0x0F == zlib.DEFLATED else _RAW)


def _inflate(parts: Iterable[bytes], window: Callable[[bytes], int]) -> Iterator[bytes]:
    """Unpack in small steps. One member may follow another, as gzip allows."""
    machine = None
    try:
        for part in parts:
            while part:
                machine = machine or zlib.decompressobj(window(part))
                yield machine.decompress(part, _STEP)
                part = machine.unconsumed_tail
                if machine.eof:
                    part, machine = machine.unused_data, None
        if machine is not None:
            while tail := machine.decompress(b"", _STEP):
                yield tail
            if not machine.eof:
                raise Damaged
    except zlib.error as error:
        raise Damaged from error


CODINGS: Final[Mapping[str, Unpack]] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _deflated}
"""What is unpacked, by name: what MLflow takes."""


async def _body(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Damaged
        size += len(message.get("body", b""))
        if size > limit:
            raise TooLarge
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _received(parts: Iterator[bytes], receive: Receive) -> Receive:
    """What the application receives: the parts, and then what becomes of the connection."""
    ended = False

    async def next_message() -> Message:
        nonlocal ended
        if ended:
            return await receive()
        part = next(parts, None)
        ended = part is None
        return {"type": "http.request", "body": part or b"", "more_body": not ended}

    return next_message


async def _refuse(failure: Failure, send: Send, headers: Mapping[str, str] | None = None) -> None:
    answer = JSONResponse(failure.body, failure.status, headers)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body})


def unsupported(names: Iterable[str]) -> Failure:
    """What a request in other codings is answered with."""
    return Failure(
        status=415,
        code="INVALID_PARAMETER_VALUE",
        message=f"Content-Encoding: got {', '.join(names)}; expected at most {MOST_CODINGS} of "
        f"{', '.join(sorted(CODINGS))}.",
    )


def too_large(limit: int) -> Failure:
    """What a body that is too large is answered with."""
    return Failure(
        status=413,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body is larger than {limit >> 20} MiB when it is unpacked; send less at once, or raise "
        "limits.maxBodyMib.",
    )


def damaged(names: Iterable[str]) -> Failure:
    """What a body that does not unpack is answered with."""
    return Failure(
        status=400,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body is not what its Content-Encoding says ({', '.join(names)}), or is not whole.",
    )
