"""`/live` and `/ready`, answered before anything of MLflow is asked."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime.routes import LIVE_PATH, READY_PATH
from mlflow_runtime.service.health import Readiness


class HealthRoutes:
    """ASGI middleware that answers `/live` and `/ready`, for any Host header: probes come by address."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else None
        if path == LIVE_PATH:
            await JSONResponse({"status": "live"})(scope, receive, send)
        elif path == READY_PATH:
            report = await self._readiness.report()
            answer = JSONResponse(report.body, 200 if report.ready else 503, {"Cache-Control": "no-store"})
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)
