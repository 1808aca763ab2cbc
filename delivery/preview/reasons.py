"""What a person has to know of a plan before it is applied: reasons to stop or to decide, and what is now and after."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from delivery.preview.plan import Plan
from delivery.preview.text import Part, Phrase


class Verdict(enum.IntEnum):
    """How a plan is to be treated, the worst last."""

    NO_CHANGE = 0
    ROUTINE = 1
    DECIDE = 2
    REFUSED = 3
    NOT_COMPUTED = 4

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


class Subject(enum.StrEnum):
    """What a reason is about, in the order in which a report tells it."""

    DATA = "data resources"
    REFUSAL = "refusals of Azure"
    OUTAGE = "outages"
    WAY_BACK = "way back"
    RIGHTS = "rights"
    NETWORK = "network"
    PROTECTION = "protection"
    IMAGE = "image"
    COST = "cost"
    CONNECTIONS = "connections"
    SERVICES = "settings of the services"
    RULES = "guardrails"
    DRIFT = "drift on Azure"
    STATE = "unfinished updates"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One numbered reason: `headline` for the title, `phrase` for the whole of it, a command as the `remedy`.

    `urn` is the resource that it starts from, empty where there is none.
    """

    subject: Subject
    verdict: Verdict
    headline: str
    phrase: Phrase
    remedy: str = ""
    urn: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of what is now and what is after. Its subject counts as changed."""

    subject: Subject
    what: Part
    now: Phrase
    after: Phrase


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """One line of the table of what a first deployment decides for good; `later` is what a change of it takes."""

    setting: Part
    value: Phrase
    later: Phrase


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a subject amounts to, in words; a report names it where nothing of that subject changes."""

    subject: Subject
    words: str


Found = Reason | Row | Fixed | Figure


class Finding(Protocol):
    """A look at a plan under one aspect."""

    def __call__(self, plan: Plan) -> Iterator[Found]: ...


def sequence(found: Sequence[Found]) -> tuple[list[Reason], list[Row]]:
    """The reasons, the worst first and then by subject, and the rows by subject."""
    order = list(Subject)
    reasons = [one for one in found if isinstance(one, Reason)]
    rows = [one for one in found if isinstance(one, Row)]
    return (
        sorted(reasons, key=lambda one: (-one.verdict, order.index(one.subject))),
        sorted(rows, key=lambda one: order.index(one.subject)),
    )
