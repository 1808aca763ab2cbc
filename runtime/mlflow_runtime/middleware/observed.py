"""What is seen of every request: its id, a line in the log, its share in the metrics; and `/metrics` itself."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime import metrics, request_id
from mlflow_runtime.metrics import http
from mlflow_runtime.middleware.templates import Template
from mlflow_runtime.routes import LIVE_PATH, METRICS_PATH, READY_PATH

# Asked every few seconds by who watches.
_UNSEEN: Final = frozenset({LIVE_PATH, READY_PATH})

# The client went away before it was answered, as nginx calls it; or the process ended it.
CLIENT_GONE: Final = 499

_log = logging.getLogger("mlflow_runtime.request")


class Observed:
    """ASGI middleware that also answers `/metrics`. `template` names the route of a request after it was answered."""

    def __init__(self, app: ASGIApp, template: Template) -> None:
        self._app = app
        self._template = template

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNSEEN:
            await self._app(scope, receive, send)
        elif scope["path"] == METRICS_PATH:
            await Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)(scope, receive, send)
        else:
            await self._watch(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not reset at the end: uvicorn logs what the application raised, and makes a context for each request.
        found = request_id.begin(scope)
        # Before the application changes them for a part of its own.
        method, path = scope["method"], scope["path"]
        status, begun = CLIENT_GONE, time.monotonic()
        whole = False

        async def marked(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[request_id.HEADER] = found
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body")

        try:
            await self._app(scope, receive, marked)
        except Exception:
            status = 500 if status == CLIENT_GONE else status
            # uvicorn ends the connection when this goes on, and the next request may be in it already. An answer that
            # is not whole has to end that way.
            if not whole:
                raise
            _log.exception("raised after the answer")
        finally:
            seconds = time.monotonic() - begun
            route = self._template({**scope, "method": method, "path": path})
            http.answered(method, route, status, seconds)
            fields = {
                "method": method,
                "path": path,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
            }
            _log.info("answered", extra={"fields": fields})
