"""Runs a table of steps one after another; knows nothing of MLflow."""

from __future__ import annotations

import contextlib
import io
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from delivery.smoke.check import describe, shortened
from delivery.smoke.report import Outcome, State

Context = TypeVar("Context")
COMPLAINT = re.compile(r".*\b(?:WARNING|ERROR)\b (?P<text>.+)")


@dataclass(frozen=True, kw_only=True)
class Step(Generic[Context]):
    """One thing to check.

    `action` returns the detail to report and raises where something is wrong. `needs` names the earlier steps whose
    results it uses. `slow` steps are left out of a quick run.
    """

    name: str
    action: Callable[[Context], str]
    needs: tuple[str, ...] = ()
    slow: bool = False


def perform(steps: Sequence[Step[Context]], context: Context, *, quick: bool) -> Iterator[Outcome]:
    """The outcome of each step as it ends. Only `limits.StopRequested` and the like get out of here."""
    passed: set[str] = set()
    for step in steps:
        outcome = _outcome(step, context, passed, quick=quick)
        if outcome.state is State.PASSED:
            passed.add(step.name)
        yield outcome


def abandoned(steps: Sequence[Step[Context]], reason: str, *, seconds: float) -> list[Outcome]:
    """The outcomes of steps that were cut short: the first was running for `seconds`, the rest had not begun."""
    running = [Outcome(name=step.name, state=State.FAILED, seconds=seconds, detail=reason) for step in steps[:1]]
    return running + [Outcome(name=step.name, state=State.NOT_RUN, detail=reason) for step in steps[1:]]


def _outcome(step: Step[Context], context: Context, passed: Collection[str], *, quick: bool) -> Outcome:
    if quick and step.slow:
        return Outcome(name=step.name, state=State.SKIPPED, detail="left out by --quick")
    if missing := [need for need in step.needs if need not in passed]:
        return Outcome(name=step.name, state=State.NOT_RUN, detail=f"needs {', '.join(missing)}")
    started = time.monotonic()
    with _hushed() as said:
        try:
            state, detail = State.PASSED, step.action(context)
        except Exception as error:  # noqa: BLE001  (whatever a step raises is its result)
            state, detail = State.FAILED, describe(error) + _complaint(said.getvalue())
    return Outcome(name=step.name, state=state, seconds=time.monotonic() - started, detail=detail)


@contextlib.contextmanager
def _hushed() -> Iterator[io.StringIO]:
    """Keeps what libraries print, log to the standard streams and warn of out of the report."""
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield said


def _complaint(said: str) -> str:
    """The last warning that was logged, which may tell why something is missing on the server."""
    complaints = [found["text"] for found in map(COMPLAINT.fullmatch, said.splitlines()) if found]
    return f" (logged: {shortened(complaints[-1], 200)})" if complaints else ""
