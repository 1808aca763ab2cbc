"""A bound on the requests that a replica answers at once.

Without it a replica that gets more than it can answer keeps all of them: memory grows with each body, and every answer
comes too late to be of use. Those beyond the bound are answered at once with 503, and the client's growing pauses
spread its retries.

A transfer of an artifact lasts as long as its client likes, in memory that has a bound of its own, so it is in flight
only until it begins to move bytes. Any other answer of a known length is in flight until the server has all of it: what
clients have not taken of such answers has a bound for the replica, and only beyond that they keep their places.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.metrics import http
from mlflow_runtime.responses import Failure
from mlflow_runtime.routes import LIVE_PATH, METRICS_PATH, READY_PATH

# Who watches a replica is answered above all when it is overloaded.
NEVER_SHED: Final = frozenset({LIVE_PATH, READY_PATH, METRICS_PATH})

LINGER_SECONDS: Final = 5

HELD_BYTES: Final = 64 << 20
"""What clients of a replica have not taken yet of whole answers whose requests are in flight no longer."""

_LEAVE: Final = "mlflow_runtime.leave_in_flight"


def begin_transfer(scope: Scope) -> None:
    """Count the request of this scope as in flight no longer. It may be called more than once."""
    if leave := scope.get(_LEAVE):
        leave()


class Refusal(JSONResponse):
    """The answer to a request whose body is not taken. Only behind it what is left of the body comes in, to be thrown
    away.

    Who is cut off in the middle of sending sees a broken connection and no answer.
    """

    def __init__(self, failure: Failure, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(failure.body, failure.status, headers)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class LimitRefusal(Refusal):
    """The answer to a request beyond a bound."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http.SHED.inc()
        await super().__call__(scope, receive, send)


class Shedding:
    """ASGI middleware that lets at most `limit` requests in."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._in_flight = 0
        self._held = 0
        http.LIMIT.set(limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in NEVER_SHED:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._limit:
            await LimitRefusal(overloaded(self._limit))(scope, receive, send)
            return
        inside = True
        self._count(+1)

        def leave() -> None:
            nonlocal inside
            if inside:
                inside = False
                self._count(-1)

        length: int | None = None
        sent = held = 0

        async def until_answered(message: Message) -> None:
            nonlocal length, sent, held
            if message["type"] == "http.response.start":
                length = _length(message)
            await send(message)
            if message["type"] != "http.response.body":
                return
            sent += len(message.get("body", b""))
            # Not when the application is done with it: by then the client may have sent its next one.
            if not message.get("more_body", False):
                leave()
            elif inside and sent == length and self._held + sent <= HELD_BYTES:
                # The server takes the next message, the end, only when the client has taken most of these.
                held = sent
                self._held += held
                leave()

        try:
            scope[_LEAVE] = leave
            await self._app(scope, receive, until_answered)
        finally:
            self._held -= held
            leave()

    def _count(self, change: int) -> None:
        self._in_flight += change
        http.IN_FLIGHT.set(self._in_flight)


def _length(start: Message) -> int | None:
    """How long an answer will be, if its head says so."""
    found = dict(start.get("headers", ())).get(b"content-length", b"")
    return int(found) if found.isdigit() else None


def overloaded(limit: int) -> Failure:
    """What a request beyond the bound is answered with."""
    return Failure(
        status=503,
        code="TEMPORARILY_UNAVAILABLE",
        message=f"This service answers {limit} requests at once and has as many; send the request again after a pause.",
    )
