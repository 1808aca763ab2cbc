"""`/live` and `/ready` of a service.

Live is a process that answers. Ready is one whose own store works: the tracking database for tracking, the registry
database for registry, the blob container for artifacts. The stores of the others are shown and decide nothing, or the
loss of one service's store would take all services away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlflow_runtime.routes import LIVE_PATH, READY_PATH

# How long a report stands in for a new one. Recovery, and a start, are to be seen sooner than nothing new.
FRESH_SECONDS: Final = 2.0
UNREADY_FRESH_SECONDS: Final = 0.3
LIMIT_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


class NotReadyError(Exception):
    """What a check found; the message is shown to whoever asks `/ready`."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A named probe that blocks, raises NotReadyError, and may give a remark. Only a deciding one makes unready."""

    name: str
    probe: Callable[[], str | None]
    decides: bool


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    name: str
    ok: bool
    decides: bool
    detail: str | None


@dataclass(frozen=True)
class Report:
    """The outcome of all checks."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether every deciding check passed."""
        return all(finding.ok for finding in self.findings if finding.decides)

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON of `/ready`."""
        checks = {}
        for finding in self.findings:
            checks[finding.name] = {"ok": finding.ok, "decides": finding.decides}
            if finding.detail:
                checks[finding.name]["detail"] = finding.detail  # type: ignore[assignment]
        degraded = not all(finding.ok for finding in self.findings)
        status = "degraded" if self.ready and degraded else "ready" if self.ready else "unready"
        return {"status": status, "checks": checks}


class Readiness:
    """Runs the checks, each in a thread of its own so that neither the event loop nor another check waits for it.

    All who ask while a report is fresh get that one, and no second run starts beside one. A check that takes longer
    than `limit` seconds has failed; it is not started again before it has come to its end.
    """

    def __init__(self, checks: Sequence[Check], *, limit: float = LIMIT_SECONDS) -> None:
        self._checks = tuple(checks)
        self._limit = limit
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(self._checks)), thread_name_prefix="ready")
        self._running: dict[str, Future[str | None]] = {}
        self._current: asyncio.Task[Report] | None = None
        self._stale_at = 0.0
        self._passed: frozenset[str] | None = None

    async def report(self) -> Report:
        """The report of the run in progress, of one that is still fresh, or of a new one."""
        current = self._current
        if current is None or (current.done() and time.monotonic() > self._stale_at):
            current = self._current = asyncio.create_task(self._run())
        # One caller that goes away must not end the run of the others.
        return await asyncio.shield(current)

    async def _run(self) -> Report:
        report = Report(tuple(await asyncio.gather(*(self._find(check) for check in self._checks))))
        self._stale_at = time.monotonic() + (FRESH_SECONDS if report.ready else UNREADY_FRESH_SECONDS)
        passed = frozenset(finding.name for finding in report.findings if finding.ok)
        if passed != self._passed:
            self._passed = passed
            _log.log(logging.INFO if report.ready else logging.WARNING, "health: %s", json.dumps(report.body))
        return report

    async def _find(self, check: Check) -> Finding:
        running = self._running.get(check.name)
        if running is None or running.done():
            running = self._running[check.name] = self._threads.submit(check.probe)
        try:
            detail = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), self._limit)
        except TimeoutError:
            return Finding(name=check.name, ok=False, decides=check.decides, detail=f"no answer in {self._limit:g} s")
        except NotReadyError as error:
            return Finding(name=check.name, ok=False, decides=check.decides, detail=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a probe meets, /ready answers
            _log.exception("check %s failed", check.name)
            return Finding(name=check.name, ok=False, decides=check.decides, detail=type(error).__name__)
        return Finding(name=check.name, ok=True, decides=check.decides, detail=detail)


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
