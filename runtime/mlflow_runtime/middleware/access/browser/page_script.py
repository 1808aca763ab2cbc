"""Adds the script that watches over the session to MLflow's page."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page differs from the file: to a browser that kept the file MLflow would answer 304, and it would show that.
_OF_THE_FILE: Final = (b"if-none-match", b"if-modified-since", b"if-range", b"range")
_TAG: Final = b'<script src="/access/session.js" defer></script></head>'


class PageScript:
    """ASGI middleware. The page is small and the same for everybody, so it is taken whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/"):
            await self._app(scope, receive, send)
            return
        scope = {**scope, "headers": [each for each in scope["headers"] if each[0] not in _OF_THE_FILE]}
        start: Message = {}
        page = bytearray()

        async def with_script(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            page.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            body = bytes(page).replace(b"</head>", _TAG, 1)
            headers = MutableHeaders(raw=list(start["headers"]))
            for name in ("etag", "last-modified", "accept-ranges"):
                del headers[name]
            if "content-length" in headers:
                headers["content-length"] = str(len(body))
            await send({**start, "headers": headers.raw})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, with_script)
