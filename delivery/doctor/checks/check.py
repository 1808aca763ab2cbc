"""One check of `doctor`: what it looks at, why, for which commands, and what fixes what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from delivery.doctor.facts import Facts
from delivery.doctor.missing import MissingError, known
from infra.settings.azure import AzureSettings

_LISTED: Final = 5


class Command(StrEnum):
    """The commands on a stack of Azure that a check can be for."""

    PREVIEW = "preview"
    UP = "up"
    PROMOTE = "promote"
    RECOVER = "recover"


class Result(StrEnum):
    """What a check says; NOT_CHECKED is neither good nor bad."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`what` was found, in words; `remedies` are commands that fix it, none where all is well."""

    result: Result
    what: str
    remedies: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the table. `look` may raise MissingError: the check is not made then."""

    name: str
    why: str
    look: Callable[[Facts], Finding]
    commands: frozenset[Command]

    def made(self, facts: Facts) -> Finding:
        """Return what it finds."""
        try:
            return self.look(facts)
        except MissingError as missing:
            return Finding(result=Result.NOT_CHECKED, what=str(missing))


def ok(what: str) -> Finding:
    return Finding(result=Result.OK, what=what)


def warning(what: str, *remedies: str) -> Finding:
    return Finding(result=Result.WARNING, what=what, remedies=remedies)


def failed(what: str, *remedies: str) -> Finding:
    return Finding(result=Result.FAILED, what=what, remedies=remedies)


def azure_settings(facts: Facts) -> AzureSettings:
    """Return the settings of a stack of Azure; the local stack has none."""
    found = known(facts.settings).azure
    if found is None:
        raise MissingError("the stack runs on this machine")
    return found


def some(found: Sequence[str]) -> str:
    """Return the first few of what was found, and how many more there are."""
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more
