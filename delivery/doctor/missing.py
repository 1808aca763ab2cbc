"""A fact that could not be had, and what becomes of a check that needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """Says why a fact is not known."""

    reason: str


class MissingError(LookupError):
    """A check needs a fact that is missing; the message is the reason."""


def known(fact: T | Missing) -> T:
    """Return a fact. Raises MissingError."""
    if isinstance(fact, Missing):
        raise MissingError(fact.reason)
    return fact
