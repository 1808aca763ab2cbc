"""One run of the smoke program: the steps, then the cleaning, both within their time.

Importing this imports MLflow, which reads its environment then: call `environment.adopt` before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow

from delivery.smoke import cleaning
from delivery.smoke.bench import Bench, random_id
from delivery.smoke.check import UnexpectedError
from delivery.smoke.limits import Limits, StopRequested
from delivery.smoke.report import Outcome, Report, State
from delivery.smoke.runner import Step, abandoned, perform
from delivery.smoke.steps.table import SERVER, STEPS

SETTLE_SECONDS = 2.0  # the server may still work on a request that was cut off, such as an upload
NAME_WIDTH = max(len(step.name) for step in STEPS)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user wants: `timeout` in seconds for all steps, `large_mib` in MiB."""

    url: str
    timeout: float
    large_mib: int
    quick: bool
    keep: bool


def run(order: Order, emit: Callable[[Outcome], None]) -> Report:
    """Run all steps and clean up; `emit` gets each outcome as it comes. Never raises for what the server does."""
    mlflow.set_tracking_uri(order.url)
    mlflow.set_registry_uri(order.url)
    report = Report(url=order.url, kept=order.keep)
    started = time.monotonic()

    def record(outcome: Outcome) -> None:
        report.outcomes.append(outcome)
        emit(outcome)

    # A thread that an interrupt left downloading may still write into the folder.
    with tempfile.TemporaryDirectory(prefix="smoke-", ignore_cleanup_errors=True) as scratch, Limits() as limits:
        bench = Bench(url=order.url, identity=random_id(), scratch=Path(scratch), large_mib=order.large_mib)
        _work(bench, order, limits, report, record)
        if report.has_passed(SERVER) and not order.keep:
            _clean(bench, limits, report, record)
        report.created = bench.created()
    report.seconds = time.monotonic() - started
    return report


def _work(bench: Bench, order: Order, limits: Limits, report: Report, record: Callable[[Outcome], None]) -> None:
    since = time.monotonic()
    try:
        limits.watch(order.timeout, interruptible=True)
        for outcome in perform(STEPS, bench, quick=order.quick):
            record(outcome)
            since = time.monotonic()
        limits.release()
    except StopRequested as stop:
        limits.release()
        report.interrupt = stop.interrupt
        for outcome in abandoned(STEPS[len(report.outcomes) :], str(stop), seconds=time.monotonic() - since):
            record(outcome)


def _clean(bench: Bench, limits: Limits, report: Report, record: Callable[[Outcome], None]) -> None:
    def clean_up(_: Bench) -> str:
        if any(outcome.state is State.FAILED for outcome in report.outcomes):
            time.sleep(SETTLE_SECONDS)
        report.left_over = cleaning.clean(bench)
        if report.left_over:
            raise UnexpectedError(f"{len(report.left_over)} kinds of things are left over, see the end")
        return "nothing left behind"

    limits.watch(cleaning.SECONDS, interruptible=False)
    for outcome in perform([Step(name="clean up", action=clean_up)], bench, quick=False):
        limits.release()
        record(outcome)
