"""From what a killed `up` has left to a state that knows what Azure has.

Interrupted creates stay in the state until each of them is settled, and are taken out of it in one write at the end.
So a recovery that is interrupted itself is run again and goes on where it was.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from delivery.outcome import ExitCode
from delivery.pulumi.lock import living
from delivery.recover import state as states
from delivery.recover.addresses import AddressError, address
from delivery.recover.engine import Engine, EngineError, Result, State
from delivery.recover.state import Care, Pending

_SUCCEEDED: Final = "Succeeded"


class Outcome(StrEnum):
    """What became of an interrupted operation."""

    IMPORTED = "imported"
    PRESENT = "present"
    ABSENT = "absent"
    REPLACED_AGAIN = "replaced again"
    REFRESHED = "refreshed"
    REPEATED = "repeated"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Settled:
    """An operation with its outcome. `identifier` is the ARM ID where it is known; `note` is for a person."""

    operation: Pending
    outcome: Outcome
    identifier: str | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a stack was found with. `lock` is the engine's word on who holds it."""

    lock: str | None
    operations: Sequence[Pending]

    @property
    def nothing(self) -> bool:
        return self.lock is None and not self.operations


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What was done. `backup` is the previous state, None where the state was not touched."""

    backup: Path | None
    settled: Sequence[Settled]

    @property
    def complete(self) -> bool:
        return all(one.outcome != Outcome.FAILED for one in self.settled)


def look(engine: Engine) -> Found:
    """What the stack is in need of; changes nothing.

    Raises EngineError for a stack that there is not, and for one on which this machine is at work.
    """
    operations = states.pending(engine.state())
    lock = engine.lock()
    if pid := living(lock or ""):
        raise EngineError(
            f"Stack {engine.stack}: `pulumi` with pid {pid} works on it on this machine; nothing was touched. Wait for "
            "its end, or end it with Ctrl-C, which leaves nothing to recover.",
            ExitCode.BUSY,
        )
    return Found(lock=lock, operations=operations)


def recover(engine: Engine, found: Found) -> Recovered:
    """Take the lock off and bring the state to what Azure has. Raises EngineError; it can be run again after that."""
    if found.lock is not None:
        engine.unlock()
    # Read again: whoever held the lock may have written until now.
    state = engine.state()
    operations = states.pending(state)
    if not operations:
        return Recovered(backup=None, settled=[])
    backup = keep(state, engine.stack, engine.environment)
    settled = [
        *_refreshed(engine, state, [one for one in operations if one.care == Care.REFRESH]),
        *_brought_back(engine, state, [one for one in operations if one.care in (Care.BRING_BACK, Care.UNKNOWN)]),
        *(Settled(operation=one, outcome=Outcome.REPEATED) for one in operations if one.care == Care.REPEAT),
    ]
    done = Recovered(backup=backup, settled=settled)
    if done.complete:
        engine.replace_state(states.restored(engine.state(), operations))
        # Azure has deleted what was being replaced, and may not have made its successor.
        replaced = [one.operation.urn for one in settled if one.outcome == Outcome.REPLACED_AGAIN]
        if replaced:
            engine.refresh(replaced)
    return done


def keep(state: State, stack: str, environ: Mapping[str, str]) -> Path:
    """Write a copy of the state that only its owner can read, in the user's folder for such things; gives its path."""
    home = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(home) / "mlflow-platform"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{stack.replace('/', '.')}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(state, file, indent=1)
    return path


def _refreshed(engine: Engine, state: State, operations: Sequence[Pending]) -> list[Settled]:
    """Updates and deletes. What a delete has taken from Azure leaves the state here too."""
    there = states.known(state)
    urns = sorted({one.urn for one in operations if one.urn in there})
    if urns:
        engine.refresh(urns)
    return [
        Settled(operation=one, outcome=Outcome.REFRESHED, identifier=there.get(one.urn, {}).get("id"))
        for one in operations
    ]


def _brought_back(engine: Engine, state: State, operations: Sequence[Pending]) -> list[Settled]:
    """Creates on Azure: together first, and each that is left over alone, so that it has an answer of its own."""
    subscription = states.subscription(state, engine.environment)
    there = states.known(state)
    settled, left = [], []
    for one in operations:
        try:
            identifier = address(one.type, one.resource.get("inputs") or {}, subscription)
        except AddressError as error:
            # Somebody may have brought it in by hand, as the message says.
            outcome = Outcome.PRESENT if one.urn in there else Outcome.FAILED
            note = "" if one.urn in there else str(error)
            settled.append(Settled(operation=one, outcome=outcome, note=note))
            continue
        if one.urn in there:
            settled.append(_of_known(engine, one, identifier, there[one.urn]))
        else:
            left.append((one, identifier))
    return settled + list(_imported(engine, left))


def _imported(engine: Engine, left: Sequence[tuple[Pending, str]]) -> Iterator[Settled]:
    if not left:
        return
    together = engine.bring_in([states.import_entry(one, identifier) for one, identifier in left])
    there = states.known(engine.state())
    for one, identifier in left:
        if one.urn in there:
            yield _import(one, identifier, there[one.urn])
        elif _missing(together, identifier):
            yield Settled(operation=one, outcome=Outcome.ABSENT, identifier=identifier)
        else:
            yield _alone(engine, one, identifier)


def _alone(engine: Engine, one: Pending, identifier: str) -> Settled:
    answer = engine.bring_in([states.import_entry(one, identifier)])
    if _missing(answer, identifier):
        return Settled(operation=one, outcome=Outcome.ABSENT, identifier=identifier)
    resource = states.known(engine.state()).get(one.urn)
    if resource is None:
        note = f"{reason(answer.text)}; fix that and run the recovery again"
        return Settled(operation=one, outcome=Outcome.FAILED, identifier=identifier, note=note)
    return _import(one, identifier, resource)


def _import(one: Pending, identifier: str, resource: Mapping[str, Any]) -> Settled:
    return Settled(operation=one, outcome=Outcome.IMPORTED, identifier=identifier, note=unfinished(resource))


def _of_known(engine: Engine, one: Pending, identifier: str, resource: Mapping[str, Any]) -> Settled:
    """A create of what the state has: it is there already, or it was to be a successor."""
    if states.same(resource.get("id"), identifier):
        outcome = Outcome.REPLACED_AGAIN if resource.get("pendingReplacement") else Outcome.PRESENT
        return Settled(operation=one, outcome=outcome, identifier=identifier)
    # Its predecessor has the URN, so it is looked for under another name.
    probe = states.import_entry(one, identifier) | {"name": f"{one.name}-successor"}
    answer = engine.bring_in([probe], only_look=True)
    if _missing(answer, identifier):
        return Settled(operation=one, outcome=Outcome.ABSENT, identifier=identifier)
    if answer.code != 0:
        note = f"{reason(answer.text)}; fix that and run the recovery again"
    else:
        note = (
            f"it was to replace {resource.get('id')}, which the state still has, so it cannot be brought in. "
            f"It is new and holds nothing: delete it on Azure (`az resource delete --ids {identifier}`) and run the "
            "recovery again"
        )
    return Settled(operation=one, outcome=Outcome.FAILED, identifier=identifier, note=note)


def unfinished(resource: Mapping[str, Any]) -> str:
    """What Azure says of a resource that it has not finished; empty where it has, or does not say."""
    outputs = resource.get("outputs") or {}
    nested = outputs.get("properties")
    status = outputs.get("provisioningState") or (nested.get("provisioningState") if isinstance(nested, dict) else None)
    return "" if status in (None, _SUCCEEDED) else f"Azure says {status}"


def reason(text: str) -> str:
    """The errors of a command of the engine, without its repetitions."""
    errors = [line.partition("error: ")[2].strip() for line in text.splitlines() if "error: " in line]
    own = [error for error in errors if not error.startswith("update failed")]
    return "; ".join(dict.fromkeys(own or errors)).rstrip(".") or text.strip() or "the engine gave no reason"


def _missing(answer: Result, identifier: str) -> bool:
    return re.search(rf"resource '{re.escape(identifier)}' does not exist", answer.text, re.IGNORECASE) is not None
