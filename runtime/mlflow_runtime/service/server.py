"""A service of MLflow: tracking, registry or artifacts. One process, one event loop, no parent and no children."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from mlflow_runtime import logs, send_buffer
from mlflow_runtime.azure import secrets
from mlflow_runtime.database import connections
from mlflow_runtime.environment import SettingsError
from mlflow_runtime.loading import loading
from mlflow_runtime.metrics import snapshot
from mlflow_runtime.middleware.draining import Drain
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app, settings
from mlflow_runtime.service.application import application
from mlflow_runtime.service.http_protocol import Protocol
from mlflow_runtime.service.settings import Settings

# Longer than the gateway keeps an idle connection (60 s), so that it never sends into one that this side just closed.
KEEP_ALIVE_SECONDS: Final = 75

# How long a thread of MLflow's may go on when the event loop wants to. Python's own 5 ms come at each step of a
# request.
SWITCH_SECONDS: Final = 0.0005

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
    sys.setswitchinterval(SWITCH_SECONDS)
    drain = Drain()
    with loading():
        app = application(found, mlflow_app.load(found), drain)
    server = _Server(_uvicorn(app, found), drain.begin, found)
    try:
        with snapshot.journal(found.metrics_seconds):
            server.run()
    except SystemExit as ended:
        # uvicorn has logged why it did not start, and has more codes for that.
        return 1 if ended.code else 0
    return 0


def _uvicorn(app: ASGIApp, found: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=found.host,
        port=found.port,
        http=Protocol,
        # MLflow has no web sockets.
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # The rest is for the process's own end, before the platform kills it.
        timeout_graceful_shutdown=found.grace_seconds - found.drain_seconds - 2,
        access_log=False,
        log_config=None,
        server_header=False,
    )


class _Server(uvicorn.Server):
    """uvicorn that drains before it stops, and that waits for threads no longer than the grace time."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], found: Settings) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = found.drain_seconds
        self._last_seconds = found.grace_seconds - 1
        self._stopping = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and hold little of an answer for a client that takes it slowly."""
        await super().startup(sockets)
        for listening in (each for server in getattr(self, "servers", ()) for each in server.sockets):
            send_buffer.bound(listening)

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
