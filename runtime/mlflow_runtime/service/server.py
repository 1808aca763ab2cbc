"""A service of MLflow: tracking, registry or artifacts. One process, one event loop, no parent and no children."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime import logs
from mlflow_runtime.azure import secrets
from mlflow_runtime.database import connections
from mlflow_runtime.database.revisions import image_revisions
from mlflow_runtime.environment import SettingsError
from mlflow_runtime.metrics import snapshot
from mlflow_runtime.middleware.draining import Draining
from mlflow_runtime.middleware.own_routes import OnlyOwnRoutes
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app, settings
from mlflow_runtime.service.application import operable
from mlflow_runtime.service.health import Check, HealthRoutes, Readiness
from mlflow_runtime.service.probes import DatabaseProbe, blob_probe
from mlflow_runtime.service.settings import Databases, Settings
from mlflow_runtime.service.stores import Stores, mlflow_openers

# Longer than the gateway keeps an idle connection (60 s), so that it never sends into one that this side just closed.
KEEP_ALIVE_SECONDS: Final = 75

_log = logging.getLogger(__name__)


def run(role: ServiceRole, env: Mapping[str, str]) -> int:
    """Serve `role` until a signal ends it.

    Exit code: 0 stopped by a signal, 1 it could not start or did not stop in time, 2 the settings are wrong.
    """
    logs.configure(role)
    signal.signal(signal.SIGTERM, _leave)
    try:
        found = settings.read(role, env)
    except SettingsError as error:
        _log.error("%s", error)
        return 2
    try:
        if found.key_vault_url is not None:
            secrets.load(role, secrets.client(found.key_vault_url))
        connections.require(found.databases)
    except (secrets.SecretsError, connections.ConnectionsError) as error:
        _log.error("%s", error)
        return 1
    mlflow = mlflow_app.load(found)
    app = Draining(application(found, mlflow))
    server = _Server(_uvicorn(app, found), app.begin, found)
    try:
        with snapshot.journal(found.metrics_seconds):
            server.run()
    except SystemExit as ended:
        # uvicorn has logged why it did not start, and has more codes for that.
        return 1 if ended.code else 0
    return 0


def application(found: Settings, mlflow: ASGIApp) -> ASGIApp:
    """Ours around MLflow's own: health first, then only the role's routes."""
    app: ASGIApp = HealthRoutes(OnlyOwnRoutes(mlflow, found.role), Readiness(_checks(found)))
    app = app if found.databases is None else _WorkerThreads(app, found.databases.connections)
    return operable(app, found)


def _checks(found: Settings) -> list[Check]:
    """The service's own store decides, the others are shown."""
    checks = [Check(name="blob", probe=blob_probe, decides=found.role is ServiceRole.ARTIFACTS)]
    if found.databases is not None:
        checks += _database_checks(found.role, found.databases)
    return checks


def _database_checks(role: ServiceRole, databases: Databases) -> list[Check]:
    stores = Stores(mlflow_openers(mlflow_app.database_uri(databases.tracking, role)))
    stores.start()
    revisions = image_revisions()

    def check(store: ServiceRole, url: Any) -> Check:
        probe = DatabaseProbe(url=url, revisions=revisions, opened=lambda: stores.reason(store))
        return Check(name=f"{store}_database", probe=probe, decides=store is role)

    return [
        check(ServiceRole.TRACKING, databases.tracking),
        check(ServiceRole.REGISTRY, databases.registry),
        # The process would not have come this far without them.
        Check(name="secrets", probe=lambda: None, decides=True),
    ]


def _uvicorn(app: ASGIApp, found: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=found.host,
        port=found.port,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # The rest is for the process's own end, before the platform kills it.
        timeout_graceful_shutdown=found.grace_seconds - found.drain_seconds - 2,
        access_log=False,
        log_config=None,
        server_header=False,
    )


class _WorkerThreads:
    """ASGI middleware: as many of MLflow's handlers at work as there are connections to a database, the rest waits.

    One that waited for a connection instead would be answered with 400 after 30 s, as if the client were at fault.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            anyio.to_thread.current_default_thread_limiter().total_tokens = self._limit
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn that drains before it stops, and that waits for threads no longer than the grace time."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], found: Settings) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = found.drain_seconds
        self._last_seconds = found.grace_seconds - 1
        self._stopping = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop; a second signal ends the drain."""
        first, self._stopping = not self._stopping, True
        if first:
            _later(self._last_seconds, self._give_up)
            self._drain()
        if first and self._drain_seconds:
            _later(self._drain_seconds, super().handle_exit, sig, frame)
        else:
            super().handle_exit(sig, frame)

    def _give_up(self) -> None:
        _log.error("requests were still at work after %d s and are cut off", self._last_seconds)
        sys.stderr.flush()
        os._exit(1)


def _later(seconds: float, act: Callable[..., None], *arguments: Any) -> None:
    timer = threading.Timer(seconds, act, arguments)
    timer.daemon = True
    timer.start()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """uvicorn raises the signal again when it has stopped: an end that was asked for is no failure."""
    sys.exit(0)
