"""What came out of a run of the smoke program, for people (lines) and for programs (one JSON document)."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a step ended. `NOT_RUN` counts as a failure, `SKIPPED` (left out on request) does not."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"
    SKIPPED = "skipped"


MARKS = {State.PASSED: "ok", State.FAILED: "FAIL", State.NOT_RUN: "--", State.SKIPPED: "skip"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One step: `detail` is what was measured, or the reason where it did not pass."""

    name: str
    state: State
    seconds: float = 0.0
    detail: str = ""


@dataclass(kw_only=True)
class Report:
    """All steps of one run.

    `created` names what the run made on the server; `left_over` says what could not be removed again, each with the
    reason; `kept` tells that removing was not wanted; `interrupt` is the signal that ended it early.
    """

    url: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0
    created: dict[str, Any] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)
    kept: bool = False
    interrupt: signal.Signals | None = None

    @property
    def passed(self) -> bool:
        """Whether every step passed or was left out on request, and nothing was left over."""
        fine = all(outcome.state in (State.PASSED, State.SKIPPED) for outcome in self.outcomes)
        return fine and bool(self.outcomes) and not self.left_over

    def has_passed(self, name: str) -> bool:
        """Whether the step of that name passed."""
        return any(outcome.name == name and outcome.state is State.PASSED for outcome in self.outcomes)


def line(outcome: Outcome, name_width: int) -> str:
    """One step as one line: ok/FAIL, name, seconds, detail."""
    ran = outcome.state in (State.PASSED, State.FAILED)
    seconds = f"{outcome.seconds:6.2f} s" if ran else " " * 8
    detail = f"not run: {outcome.detail}" if outcome.state is State.NOT_RUN else outcome.detail
    return f"{MARKS[outcome.state]:<4}  {outcome.name:<{name_width}}  {seconds}  {detail}".rstrip()


def summary(report: Report) -> str:
    """The last words: passed or failed, the reason of each failure, what was kept or is left over."""
    failed = [outcome for outcome in report.outcomes if outcome.state is State.FAILED]
    unrun = sum(outcome.state is State.NOT_RUN for outcome in report.outcomes)
    verdict = "passed" if report.passed else "FAILED"
    counts = f"{len(report.outcomes)} steps, {len(failed)} failed, {unrun} not run, {report.seconds:.1f} s"
    lines = [f"smoke {verdict} against {report.url}: {counts}"]
    lines += [f"  {outcome.name}: {outcome.detail}" for outcome in failed]
    lines += [f"  left over: {what}" for what in report.left_over]
    if report.kept:
        lines += [f"  kept: {key} {value}" for key, value in report.created.items() if value]
    return "\n".join(lines)


def document(report: Report) -> dict[str, Any]:
    """The report as plain data.

    Keys: `url`, `passed`, `seconds`, `steps` (each `name`, `state`, `seconds`, `detail`), `created` (the names and
    ids listed in `bench.Bench.created`), `kept`, `left_over`.
    """
    return {
        "url": report.url,
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "steps": [
            {"name": o.name, "state": o.state.value, "seconds": round(o.seconds, 3), "detail": o.detail}
            for o in report.outcomes
        ],
        "created": report.created,
        "kept": report.kept,
        "left_over": report.left_over,
    }
