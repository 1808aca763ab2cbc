"""The bodies of requests: as large as their route needs, and all together no more than the replica's memory holds.

MLflow takes each body whole, decodes it and builds objects of it, up to a hundred times its size. What it may take is
known from its bytes before MLflow sees it, so a body waits here until it is whole. Packed bodies are unpacked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.middleware import content_codings
from mlflow_runtime.middleware.access.classes import CLASSES, Class
from mlflow_runtime.middleware.access.matching import Matcher
from mlflow_runtime.middleware.content_codings import Damaged, TooDense, TooLarge, Unpack, Unsupported
from mlflow_runtime.middleware.load_shedding import LimitRefusal, Refusal
from mlflow_runtime.responses import Failure

MIB: Final = 1 << 20

SMALL: Final = 64 << 10
"""A body of this length that says so is passed on as it comes, and counted nowhere."""

ASKED: Final = 2 * MIB
"""The longest body of a route that logs nothing.

The largest search names the 50,000 experiments, runs or traces of the largest page (SEARCH_MAX_RESULTS_THRESHOLD in
mlflow/store/tracking/__init__.py), each by an id of 32 characters.
"""

# 275 MiB idle with MLflow loaded, 64 MiB of answers that clients have not taken, and small bodies.
RESERVED_MIB: Final = 384
LEAST_MIB: Final = 64

STALL_SECONDS: Final = 30
"""How long a client may send nothing of a body that it has begun, since what came of it holds memory."""

# As its bytes, joined, and as text.
_COPIES: Final = 3
# What MLflow makes of the shortest element: an object of Python's, and its place in a list.
_ELEMENT_BYTES: Final = 72
_ELEMENTS: Final = (b",", b"[", b"{")
# The same of a message of Protocol Buffers, whose length is one byte if it is short: 174 bytes for an empty span.
_MESSAGE_BYTES: Final = 180
_SHORT_LENGTHS: Final = bytes(range(16))
_JSON: Final = "application/json"


class Busy(Exception):  # noqa: N818 - it names what happened
    """Other bodies take the memory that this one needs."""


class TooMuch(Exception):  # noqa: N818
    """A body takes more memory than there is for all of them."""


class Stalled(Exception):  # noqa: N818
    """A client sends nothing more of its body."""


_REFUSED: Final = (Unsupported, TooLarge, TooDense, TooMuch, Damaged, Stalled, Busy)
"""Why a body is not taken."""


class Budget:
    """The memory for all bodies of a replica, in bytes. `most` is the largest sum that was ever taken."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self.most = 0

    @classmethod
    def of(cls, memory_mib: int) -> Budget:
        """Return the budget of a replica with so much memory."""
        return cls(max(LEAST_MIB, memory_mib - RESERVED_MIB) * MIB)

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """Return the share of one request, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            share.give_back()


class Share:
    """What one request has taken of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0

    def take(self, size: int) -> None:
        """Take so many bytes more. Busy if others have them, TooMuch if nobody could."""
        budget = self._budget
        if self._taken + size > budget.total:
            raise TooMuch
        if budget.used + size > budget.total:
            raise Busy
        self._taken += size
        budget.used += size
        budget.most = max(budget.most, budget.used)

    def give_back(self, *, but: int = 0) -> None:
        """Return all of it but so many bytes."""
        kept = min(self._taken, but)
        self._budget.used -= self._taken - kept
        self._taken = kept


Weigh = Callable[[bytes], int]
"""What MLflow may take for a part of a body, in bytes."""


def memory(part: bytes) -> int:
    """Weigh a part of JSON: its copies, and the objects that its elements become."""
    return _COPIES * len(part) + _ELEMENT_BYTES * sum(part.count(each) for each in _ELEMENTS)


def memory_of_messages(part: bytes) -> int:
    """Weigh a part of what may be Protocol Buffers, or JSON after all."""
    return memory(part) + _MESSAGE_BYTES * (len(part) - len(part.translate(None, _SHORT_LENGTHS)))


LimitOf = Callable[[Scope], int]
"""The longest body of a request, in bytes."""


def limits(match: Matcher, most: int) -> LimitOf:
    """Return the limit by route: `most` where something is logged, and no more than ASKED everywhere else."""

    def limit(scope: Scope) -> int:
        logs = CLASSES.get(match(scope["method"], scope["path"]) or "") is Class.WRITE
        return most if logs else min(most, ASKED)

    return limit


class Bodies:
    """ASGI middleware that passes on whole and unpacked bodies, each within its limit and all within the budget."""

    def __init__(self, app: ASGIApp, limit_of: LimitOf, budget: Budget) -> None:
        self._app = app
        self._limit_of = limit_of
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        names = content_codings.codings(headers)
        if not names and _is_small(headers):
            await self._app(scope, receive, send)
            return
        body, limit = _Incoming(receive), self._limit_of(scope)
        with self._budget.share() as share:
            try:
                codings = content_codings.unpacking(names)
                if int(headers.get("content-length", "0")) > limit:
                    raise TooLarge
                parts, size = await _whole(body, codings, limit, share, _weigh(headers))
            except _REFUSED as refused:
                answer = _refusal(refused, names, limit, self._budget)
            else:
                if names:
                    _say_length(scope, size)
                await self._app(scope, _received(parts, receive), _giving_back(share, size, send))
                return
        await answer(scope, body.rest, send)


class _Incoming:
    """A body on its way."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def part(self) -> bytes:
        """Return what came next. Damaged if the client is gone, Stalled if it sends nothing."""
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise Stalled from None
        self.ended = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise Damaged
        part: bytes = message.get("body", b"")
        return part

    async def rest(self) -> Message:
        """Receive what is left of it."""
        return {"type": "http.request"} if self.ended else await self._receive()


async def _whole(
    body: _Incoming, codings: tuple[Unpack, ...], limit: int, share: Share, weigh: Weigh
) -> tuple[Iterator[bytes], int]:
    """Return the body in parts, without its codings, and its length; take the memory for it of the share."""
    came: deque[bytes] = deque()
    size = 0
    while not body.ended:
        part = await body.part()
        size += len(part)
        if size > limit:
            raise TooLarge
        share.take(len(part) if codings else weigh(part))
        came.append(part)
    if not codings:
        return _forgotten(came), size
    unpacked = partial(content_codings.unpacked, came, size, codings, limit)
    taken = length = 0
    # Once to see what it takes, so that one that is refused is never in memory.
    for part in unpacked():
        taken += weigh(part)
        length += len(part)
        await asyncio.sleep(0)  # others go on meanwhile
    share.take(taken)
    return unpacked(), length


def _forgotten(parts: deque[bytes]) -> Iterator[bytes]:
    while parts:
        yield parts.popleft()


def _weigh(headers: Headers) -> Weigh:
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    return memory if media_type == _JSON else memory_of_messages


def _is_small(headers: Headers) -> bool:
    return "transfer-encoding" not in headers and int(headers.get("content-length", "0")) <= SMALL


def _say_length(scope: Scope, size: int) -> None:
    """Have the headers say that the body is plain and of this length.

    In the scope itself: what the application writes into it, layers further out read.
    """
    headers = MutableHeaders(raw=list(scope["headers"]))
    del headers["content-encoding"]
    del headers["transfer-encoding"]
    headers["content-length"] = str(size)
    scope["headers"] = headers.raw


def _giving_back(share: Share, size: int, send: Send) -> Send:
    """Return most of the share of a body of `size` bytes when its answer begins.

    The objects that MLflow made of the body are gone by then. The body or an answer that repeats it stays until a slow
    client has read it: MLflow's refusal of a value quotes all of it.
    """

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            length = int(Headers(raw=message["headers"]).get("content-length", "0"))
            share.give_back(but=max(size, length))
        await send(message)

    return sent


def _received(parts: Iterator[bytes], receive: Receive) -> Receive:
    """What the application receives: the parts, and then what becomes of the connection."""
    ended = False

    async def next_message() -> Message:
        nonlocal ended
        if ended:
            return await receive()
        await asyncio.sleep(0)  # others go on meanwhile
        part = next(parts, None)
        ended = part is None
        return {"type": "http.request", "body": part or b"", "more_body": not ended}

    return next_message


def _refusal(refused: Exception, names: Iterable[str], limit: int, budget: Budget) -> Refusal:
    """Return the answer to a request whose body is not taken."""
    match refused:
        case Busy():
            return LimitRefusal(busy(budget))
        case Unsupported():
            accepted = {"Accept-Encoding": ", ".join(sorted(content_codings.CODINGS))}
            return Refusal(content_codings.unsupported(names), accepted)
        case Damaged():
            return Refusal(content_codings.damaged(names))
        case Stalled():
            return Refusal(stalled())
        case TooDense():
            return Refusal(content_codings.too_dense())
        case TooMuch():
            return Refusal(too_much(budget))
    return Refusal(too_large(limit))


def too_large(limit: int) -> Failure:
    """What a body that is too large is answered with."""
    return Failure(
        status=413,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body is larger than {limit // MIB} MiB when it is unpacked; send less at once, or raise "
        f"limits.maxBodyMib. What only asks is limited to {ASKED // MIB} MiB: narrow its filter.",
    )


def too_much(budget: Budget) -> Failure:
    """What a body is answered with that no state of the replica has memory for."""
    return Failure(
        status=413,
        code="INVALID_PARAMETER_VALUE",
        message=f"The body takes more memory than the {budget.total // MIB} MiB that this service has for bodies; send "
        "less at once, or raise the service's memoryMib.",
    )


def busy(budget: Budget) -> Failure:
    """What a body is answered with while others take the memory."""
    return Failure(
        status=503,
        code="TEMPORARILY_UNAVAILABLE",
        message=f"This service has {budget.total // MIB} MiB of memory for bodies, and others take it; send the "
        "request again after a pause.",
    )


def stalled() -> Failure:
    """What a body is answered with of which nothing more comes."""
    return Failure(
        status=408,
        code="INVALID_PARAMETER_VALUE",
        message=f"Nothing came of the body for {STALL_SECONDS} seconds; send the request again.",
    )
