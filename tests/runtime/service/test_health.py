"""How the checks of `/ready` are run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mlflow_runtime.service.health import Check, NotReadyError, Readiness, Report


def check(name: str, probe: Callable[[], str | None], *, decides: bool = True) -> Check:
    return Check(name=name, probe=probe, decides=decides)


def fails() -> str | None:
    raise NotReadyError("the store is closed")


def breaks() -> str | None:
    raise ZeroDivisionError


def passes() -> str | None:
    return None


def report(*checks: Check) -> Report:
    return asyncio.run(Readiness(checks).report())


def test_a_deciding_check_decides_and_another_only_shows() -> None:
    assert report(check("own", passes)).body["status"] == "ready"
    degraded = report(check("own", passes), check("other", fails, decides=False))
    assert degraded.ready
    assert degraded.body["status"] == "degraded"
    assert degraded.body["checks"]["other"] == {"ok": False, "decides": False, "detail": "the store is closed"}
    unready = report(check("own", fails), check("other", passes, decides=False))
    assert not unready.ready
    assert unready.body["status"] == "unready"


def test_a_check_that_breaks_has_failed() -> None:
    broken = report(check("own", breaks))
    assert not broken.ready
    assert broken.body["checks"]["own"]["detail"] == "ZeroDivisionError"


def test_all_who_ask_at_once_get_one_run() -> None:
    runs: list[int] = []

    async def many() -> list[Report]:
        readiness = Readiness([check("own", lambda: runs.append(1))])
        return [*await asyncio.gather(*(readiness.report() for _ in range(20))), await readiness.report()]

    reports = asyncio.run(many())
    assert len(runs) == 1
    assert all(one is reports[0] for one in reports)


def test_a_check_that_hangs_fails_in_time_and_is_not_started_twice() -> None:
    release, started = threading.Event(), []

    def hangs() -> str | None:
        started.append(1)
        release.wait()
        return None

    async def ask() -> list[Mapping[str, Any]]:
        readiness = Readiness([check("own", hangs), check("other", passes)], limit=0.05)
        asked: list[Mapping[str, Any]] = []
        # A busy machine may take longer than the limit to start a thread for the other.
        while len(asked) < 2 or (not asked[-1]["other"]["ok"] and len(asked) < 200):
            asked.append((await readiness.report()).body["checks"])
            readiness._stale_at = 0.0
        return asked

    try:
        asked = asyncio.run(ask())
    finally:
        release.set()
    for one in asked:
        assert one["own"] == {"ok": False, "decides": True, "detail": "no answer in 0.05 s"}
    assert asked[-1]["other"]["ok"] is True
    assert len(started) == 1


def test_a_caller_who_leaves_does_not_end_the_run_of_the_others() -> None:
    release = threading.Event()

    def waits() -> str | None:
        release.wait()
        return None

    async def ask() -> Report:
        readiness = Readiness([check("own", waits)])
        impatient, patient = (asyncio.create_task(readiness.report()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        release.set()
        return await patient

    assert asyncio.run(ask()).ready


def test_a_check_is_logged_in_one_line_when_its_outcome_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcomes = [None, RuntimeError("first\nsecond"), RuntimeError("third"), NotReadyError("closed"), None, None]

    def probe() -> str | None:
        if error := outcomes.pop(0):
            raise error
        return None

    async def ask() -> None:
        readiness = Readiness([check("own", probe), check("other", passes, decides=False)])
        while outcomes:
            readiness._stale_at = 0.0
            await readiness.report()

    asyncio.run(ask())
    own = [record for record in caplog.records if "own" in record.getMessage()]
    assert [(record.levelname, record.getMessage()) for record in own] == [
        ("INFO", "check own passes"),
        ("WARNING", "check own fails, not ready: RuntimeError: first"),
        ("INFO", "check own passes"),
    ]
    assert not any(record.exc_info for record in own)
    assert sum("other" in record.getMessage() for record in caplog.records) == 1
