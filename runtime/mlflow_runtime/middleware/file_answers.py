"""Files that MLflow's handlers answer with, sent past its bridge to Flask, as the artifacts service sends its own.

The bridge keeps in memory what a slow client has not taken (`WSGIResponder` in starlette/middleware/wsgi.py), without a
limit, and the request is in flight until the last byte. A handler hands over how its file is sent instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Answer = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
"""The answer to a request with the headers that MLflow set."""


@dataclass
class _Handed:
    answer: Answer | None = None
    headers: MutableHeaders | None = None


_handed: ContextVar[_Handed] = ContextVar("_handed")


def hand_over(answer: Answer) -> None:
    """Answer the present request by `answer`, whatever the handler's body. Raises LookupError outside of a request."""
    _handed.get().answer = answer


class FileAnswers:
    """ASGI middleware that sends what a handler handed over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        handed = _Handed()

        async def unless_handed(message: Message) -> None:
            # A handler may still fail after it handed over: then its error is the answer.
            if handed.answer is not None and message["type"] == "http.response.start" and message["status"] == 200:
                handed.headers = MutableHeaders(raw=list(message["headers"]))
            if handed.headers is None:
                await send(message)

        # Threads and tasks of the application get a copy of the context, with the same object in it.
        token = _handed.set(handed)
        try:
            await self._app(scope, receive, unless_handed)
        finally:
            _handed.reset(token)
        if handed.answer is not None and handed.headers is not None:
            del handed.headers["content-length"]
            response = await handed.answer(Request(scope), dict(handed.headers))
            await response(scope, receive, send)
