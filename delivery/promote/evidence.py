"""Where the facts come from that git does not have: the engine, documents of builds, and an offline preview.

A fact that this machine cannot know is Unknown, with the reason: it stops the promotion until a person accepts it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from delivery.apply import record
from delivery.apply.record import SmokeResult
from delivery.drift.check import blocking
from delivery.outcome import CommandError
from delivery.preview import base
from delivery.preview.command import planned
from delivery.preview.report import Report, Source, report
from delivery.promote import history
from delivery.promote.gates import Unknown
from delivery.promote.history import Update
from delivery.promote.release import Build
from delivery.pulumi.engine import Engine, EngineError, users_engine
from delivery.terminal import say

_PAGE: Final = "--page-size=200"
_NO_AZURE: Final = Unknown("only Azure knows, and nothing asks it here")
_FEWEST_BUILDS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview of the target is made of: the stack, the commit of the program, and the file in its new form."""

    stack: str
    commit: str
    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One function for each kind of fact. `alerts` returns those that fired in a stack since a time."""

    updates: Callable[[str], Sequence[Update] | Unknown]
    pending: Callable[[str], Sequence[str] | Unknown]
    preview: Callable[[Preview], Report]
    labels: Callable[[str], Mapping[str, str] | Unknown]
    builds: Callable[[str], int | Unknown]
    smoke: Callable[[str, Update], bool | Unknown]
    alerts: Callable[[str, datetime], Sequence[str] | Unknown]
    drift: Callable[[str], Sequence[str] | Unknown]
    in_registry: Callable[[str, str], bool | Unknown]


def gathered(repository: Path, project: str, builds: Sequence[Build]) -> Evidence:
    """Return the evidence that this machine has: the engine as the user is signed in, and documents of builds."""
    return Evidence(
        updates=lambda stack: _updates(users_engine(stack, repository), project),
        pending=lambda stack: _pending(users_engine(stack, repository)),
        preview=lambda wanted: _previewed(repository, wanted),
        labels=lambda digest: _labels(builds, digest),
        builds=lambda digest: _builds(builds, digest),
        smoke=lambda stack, update: _smoke(users_engine(stack, repository), stack, update),
        alerts=lambda _, __: _NO_AZURE,
        drift=lambda stack: _drift(users_engine(stack, repository), stack),
        in_registry=lambda _, __: _NO_AZURE,
    )


def _updates(engine: Engine, project: str) -> Sequence[Update] | Unknown:
    answer = _asked(engine, "stack", "history", "--json", _PAGE)
    return answer if isinstance(answer, Unknown) else history.read(answer, project)


def _smoke(engine: Engine, stack: str, update: Update) -> bool | Unknown:
    """What the smoke program found after an update, as `up` has recorded it."""
    try:
        applied = record.last(engine)
    except EngineError as error:
        return Unknown(str(error).splitlines()[0])
    if applied is None or applied.smoke is None or update.message != applied.record.message():
        return Unknown(f"no record of a smoke test of {stack}")
    if applied.smoke.result is SmokeResult.NOT_RUN:
        return Unknown(f"the smoke test of {stack} was not run: {applied.smoke.reason}")
    return applied.smoke.result is SmokeResult.PASSED


def _pending(engine: Engine) -> Sequence[str] | Unknown:
    answer = _asked(engine, "stack", "export")
    return answer if isinstance(answer, Unknown) else history.pending(answer)


def _drift(engine: Engine, stack: str) -> Sequence[str] | Unknown:
    try:
        return blocking(engine, stack)
    except CommandError as error:
        return Unknown(str(error).splitlines()[0])


def _asked(engine: Engine, *arguments: str) -> Any:
    """The engine's JSON, or Unknown with the first line of what it says."""
    answer = engine.run(*arguments)
    if answer.code == 0:
        return json.loads(answer.out)
    line = next((line for line in answer.text.splitlines() if line.strip()), f"exit code {answer.code}")
    return Unknown(f"pulumi {' '.join(arguments[:2])}: {line.removeprefix('error: ')}")


def _previewed(repository: Path, wanted: Preview) -> Report:
    """The report of the edited file, over what the commit's own file brings up.

    A commit whose own file the program refuses, as after a new contract, is no base: then everything is new.
    """
    with base.checked_out(repository, wanted.commit) as old, base.checked_out(repository, wanted.commit) as new:
        (new / wanted.path).write_bytes(wanted.content)
        against = wanted.commit[:12]
        try:
            plan = planned(wanted.stack, new, old=old, against=against)
        except CommandError:
            say(f"{against} cannot be brought up offline: the preview shows everything as new.", sys.stderr)
            against = "an empty subscription"
            plan = planned(wanted.stack, new, old=None, against=against)
    return report(plan, Source(against=against, offline=True))


def _labels(builds: Sequence[Build], digest: str) -> Mapping[str, str] | Unknown:
    return next((one.labels for one in builds if one.digest == digest), Unknown("no document of its build is given"))


def _builds(builds: Sequence[Build], digest: str) -> int | Unknown:
    """How many of the given builds have the digest, 0 where one of them has another."""
    if len(builds) < _FEWEST_BUILDS:
        return Unknown("nobody but its builder vouches for the digest")
    return len(builds) if all(one.digest == digest for one in builds) else 0
