"""What every guardrail says of itself, and what a rule over resources is."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.guardrails.resource import UNKNOWN, Resource, Stack

DOCUMENT = "docs/guardrails.md"


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """`refuses` says what, `reason` why, `remedy` what to do instead; `source` is a page or a table that asks for it.
    `subject` is what the rule is about, `scope` what it applies to, both in words.

    `id` names the rule in messages, and is its heading in docs/guardrails.md: a changed one breaks links. `waivable`
    says whether a stack may break it for a time: not where Azure refuses it, or where a stack would harm another.
    """

    id: str
    subject: enum.StrEnum
    scope: enum.StrEnum
    refuses: str
    reason: str
    remedy: str
    source: str
    waivable: bool = True

    @property
    def link(self) -> str:
        """Where the rule is documented."""
        return f"{DOCUMENT}#{self.id}"


class ResourceSubject(enum.StrEnum):
    """What a rule over resources is about. Its checks are in the module of that name."""

    EXPOSURE = "who reaches a resource"
    SIGN_IN = "keys and passwords"
    ENCRYPTION = "encryption on the way"
    RIGHTS = "rights"
    RECOVERY = "lost resources"
    OPERATION = "logs and alerts of resources"
    CONTENT = "what a resource says"


class ResourceScope(enum.StrEnum):
    """The stacks whose resources a rule looks at."""

    AZURE = "resources of every stack on Azure"
    SERVICES = "resources of stacks that run MLflow"


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A property of a resource, its value, and the allowed ones."""

    path: str
    value: object
    allowed: str


Check = Callable[[Resource, Stack], Iterator[Broken]]
"""Yields what a resource breaks. Unknown values break nothing."""

CheckAlone = Callable[[Resource], Iterator[Broken]]
"""The same, from the resource alone."""


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Guardrail):
    """A rule over each resource of some types, of every type without any.

    `whole` says that the check looks at the stack's other resources too.
    """

    subject: ResourceSubject
    scope: ResourceScope = ResourceScope.AZURE
    check: Check
    types: Sequence[str] = ()
    whole: bool = False

    def broken(self, resource: Resource, stack: Stack) -> Iterator[Broken]:
        """Yield what the resource breaks, nothing where the rule does not look at it."""
        served = self.scope is ResourceScope.AZURE or not stack.facts.bootstrap
        if served and (resource.type in self.types or not self.types):
            yield from self.check(resource, stack)


def differs(resource: Resource, path: str, *allowed: Any) -> Iterator[Broken]:
    """Yield a known value at a path that is not one of the allowed ones; None among these lets it be absent."""
    found = resource.at(path)
    if found is not UNKNOWN and found not in allowed:
        words = " or ".join(said(one) for one in allowed if one is not None)
        yield Broken(path=path, value=found, allowed=words)


def alone(check: CheckAlone) -> Check:
    """Return the check of a resource that no fact and no other resource matters to."""

    def of_stack(resource: Resource, _: Stack) -> Iterator[Broken]:
        return check(resource)

    return of_stack


def properties(expected: Mapping[str, Mapping[str, Sequence[Any]]]) -> CheckAlone:
    """Return a check of properties: by type and path, the allowed values."""

    def check(resource: Resource) -> Iterator[Broken]:
        for path, allowed in expected.get(resource.type, {}).items():
            yield from differs(resource, path, *allowed)

    return check


def said(value: object) -> str:
    """Return a value as Azure's API writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
