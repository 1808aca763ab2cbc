"""`/live` and `/ready` of a service.

Live is a process that answers. Ready is one whose own store works: the tracking database for tracking, the registry
database for registry, the blob container for artifacts. The stores of the others are shown and decide nothing, or the
loss of one service's store would take all services away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from mlflow_runtime.reasons import first_line

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
    """The outcome of one check. `detail` is the remark of one that passed, or why it failed."""

    name: str
    ok: bool
    decides: bool
    detail: str | None

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON of this check in that of `/ready`."""
        body: dict[str, Any] = {"ok": self.ok, "decides": self.decides}
        return {**body, "detail": self.detail} if self.detail else body


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
        if not self.ready:
            status = "unready"
        else:
            status = "ready" if all(finding.ok for finding in self.findings) else "degraded"
        return {"status": status, "checks": {finding.name: finding.body for finding in self.findings}}


class Readiness:
    """Runs the checks, each in a thread of its own so that neither the event loop nor another check waits for it.

    All who ask while a report is fresh get that one, and no second run starts beside one. A check that takes longer
    than `limit` seconds has failed; it is not started again before it has come to its end. A check is logged when it
    begins to fail or to pass, with the reason, and not while it stays so.
    """

    def __init__(self, checks: Sequence[Check], *, limit: float = LIMIT_SECONDS) -> None:
        self._checks = tuple(checks)
        self._limit = limit
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(self._checks)), thread_name_prefix="ready")
        self._running: dict[str, Future[str | None]] = {}
        self._current: asyncio.Task[Report] | None = None
        self._stale_at = 0.0
        self._passed: dict[str, bool] = {}

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
        return report

    async def _find(self, check: Check) -> Finding:
        running = self._running.get(check.name)
        if running is None or running.done():
            running = self._running[check.name] = self._threads.submit(check.probe)
        try:
            detail = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), self._limit)
        except TimeoutError:
            detail = reason = f"no answer in {self._limit:g} s"
        except NotReadyError as error:
            detail = reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a probe meets, /ready answers
            # Its text is nobody's but the operator's: it was not written for those who ask `/ready`.
            detail, reason = type(error).__name__, f"{type(error).__name__}: {first_line(error)}"
        else:
            self._log_change(check, None)
            return Finding(name=check.name, ok=True, decides=check.decides, detail=detail)
        self._log_change(check, reason)
        return Finding(name=check.name, ok=False, decides=check.decides, detail=detail)

    def _log_change(self, check: Check, reason: str | None) -> None:
        passes = reason is None
        if self._passed.get(check.name) is passes:
            return
        self._passed[check.name] = passes
        if passes:
            _log.info("check %s passes", check.name)
        else:
            _log.warning("check %s fails%s: %s", check.name, ", not ready" if check.decides else "", reason)
