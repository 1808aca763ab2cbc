"""What was applied to a stack: one JSON line as the message of the engine's update, and the smoke run after it.

The engine keeps the message with time and result. What the smoke program found comes after the update, so it is in a
tag of the stack, which names the update that it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from delivery.pulumi.engine import Engine

VERSION: Final = 1
_KEY: Final = "mlflow-platform"
_TAG: Final = "mlflow-platform:smoke"
LONGEST_REASON: Final = 120
"""Characters of a reason; the engine takes 256 in the whole value of a tag."""


class SmokeResult(StrEnum):
    """How the smoke program ended after an update."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """`reason` says why it was not run or what failed."""

    result: SmokeResult
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What an `up` was asked to apply, and the person or workflow that asked: a plan, by its fingerprint, of a commit.

    `image` is the digest that the stack's file names, `engine` the engine's version. A revert of drift applies no plan:
    `reverted` names the resources that are again what the program says, `checkout` is the commit that said so, and
    `reason` whatever its person says; `commit` is still the one that was applied as a whole.
    """

    stack: str
    plan: str
    commit: str
    image: str
    engine: str
    who: str
    reverted: str = ""
    checkout: str = ""
    reason: str = ""

    @property
    def applies(self) -> bool:
        """Whether it is of a plan. What reads what a stack runs passes over a revert: that brings back what was."""
        return not self.reverted

    def message(self) -> str:
        """Return it as the message of an update."""
        return json.dumps({_KEY: VERSION, **self.document()}, ensure_ascii=False)

    def document(self) -> dict[str, str]:
        """Return what a program reads of it: what only a revert has is there for a revert alone."""
        return {key: value for key, value in asdict(self).items() if value or key not in _OF_A_REVERT}


_OF_A_REVERT: Final = frozenset({"reverted", "checkout", "reason"})


@dataclass(frozen=True, kw_only=True)
class Applied:
    """An update that ended well, with its record. `smoke` is None where nothing was noted after it.

    `started` and `ended` are the engine's times, UTC. `newest` says whether no other update, destroy or import was
    begun after it, by hand for instance.
    """

    record: Record
    started: str
    ended: str
    newest: bool
    smoke: Smoke | None = None


def last(engine: Engine) -> Applied | None:
    """Return the last update that ended well and has a record; None if there was none. Needs a stack's own options.

    A revert of drift is passed over: it brings back what the update before it made.
    """
    for index, update in enumerate(_history(engine)):
        record = parse(update.get("message"))
        if (
            record is not None
            and record.applies
            and update.get("kind") == "update"
            and update.get("result") == "succeeded"
        ):
            started = str(update.get("startTime", ""))
            return Applied(
                record=record,
                started=started,
                ended=str(update.get("endTime", "")),
                newest=index == 0,
                smoke=_smoke(engine, started),
            )
    return None


def note(engine: Engine, smoke: Smoke) -> None:
    """Note what the smoke program found of the update that has just ended. Raises EngineError."""
    update = next(iter(_history(engine)), {})
    noted = {
        "started": update.get("startTime", ""),
        "result": smoke.result.value,
        "reason": " ".join(smoke.reason.split())[:LONGEST_REASON],
    }
    engine.must("stack", "tag", "set", _TAG, json.dumps(noted, ensure_ascii=False))


def parse(message: object) -> Record | None:
    """Return the record in an update's message; None for what somebody else wrote there."""
    found = _object(message)
    if found.get(_KEY) != VERSION:
        return None
    try:
        return Record(**{key: str(value) for key, value in found.items() if key != _KEY})
    except TypeError:
        return None


def _history(engine: Engine) -> list[Mapping[str, Any]]:
    """The updates of the stack, the newest first."""
    found: list[Mapping[str, Any]] = json.loads(engine.must("stack", "history", "--json").out or "[]")
    return found


def _smoke(engine: Engine, started: str) -> Smoke | None:
    noted = _object(json.loads(engine.must("stack", "tag", "ls", "--json").out or "{}").get(_TAG))
    if noted.get("started") != started:
        return None
    return Smoke(result=SmokeResult(str(noted.get("result"))), reason=str(noted.get("reason", "")))


def _object(text: object) -> Mapping[str, Any]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
