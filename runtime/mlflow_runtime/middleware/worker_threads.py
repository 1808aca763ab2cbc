"""As many of MLflow's handlers at work as there are connections to a database; the others wait for a thread.

A handler that waited for a connection instead would be answered with 400 after 30 s, as if the client were at fault.
"""

from __future__ import annotations

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send


class WorkerThreads:
    """ASGI middleware that bounds the threads of this process's handlers to `limit` when the application starts."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            anyio.to_thread.current_default_thread_limiter().total_tokens = self._limit
        await self._app(scope, receive, send)
