"""The first seconds of a stop, in which a replica sends its callers away before it closes its door.

Whoever balances between replicas learns of a stop at its next check of `/ready`, and keeps idle connections. A request
that it sends into one at the moment in which this side closes it is lost, and nobody can tell whether it was carried
out. So a replica that is to stop first says that it is not ready and ends each connection with the next answer on it;
it takes requests as before until those who call it had the time to notice.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.routes import READY_PATH


class Drain:
    """Whether a stop has begun. The server begins it, the middleware looks at it."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self) -> None:
        """Be unready from now on, and keep no connection."""
        self.begun = True


class Draining:
    """ASGI middleware that sends callers away once `drain` has begun. It does nothing before."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._drain.begun and scope["path"] == READY_PATH:
            headers = {"Cache-Control": "no-store", "Connection": "close"}
            await JSONResponse({"status": "stopping"}, 503, headers)(scope, receive, send)
        else:
            await self._app(scope, receive, self._parting(send))

    def _parting(self, send: Send) -> Send:
        async def parted(message: Message) -> None:
            if self._drain.begun and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return parted
