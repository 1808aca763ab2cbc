"""The sum of a stack: every resource priced, free or named as not priced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from delivery.cost.catalogue import FREE, LOGS, RULES, Group
from delivery.cost.load import Load
from delivery.cost.prices import Price
from delivery.cost.resources import NotPricedError, Resource


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that is billed, idle and at the load. Amounts in the price's unit."""

    group: Group
    resource: str
    what: str
    price: Price
    idle_quantity: float
    load_quantity: float

    @property
    def idle_usd(self) -> float:
        """A month of doing nothing."""
        return self.price.usd * self.idle_quantity

    @property
    def load_usd(self) -> float:
        """A month at the load."""
        return self.price.usd * self.load_quantity


@dataclass(frozen=True, kw_only=True)
class Unbilled:
    """A resource without a line, and why."""

    resource: str
    type: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Where anything is in `not_priced`, both totals are too low by what it costs."""

    idle: Load
    load: Load
    lines: Sequence[Line]
    free: Sequence[Unbilled]
    not_priced: Sequence[Unbilled]

    @property
    def idle_usd(self) -> float:
        """The least that a month costs."""
        return sum(line.idle_usd for line in self.lines)

    @property
    def load_usd(self) -> float:
        """What a month at the load costs."""
        return sum(line.load_usd for line in self.lines)

    def groups(self) -> Mapping[Group, Sequence[Line]]:
        """The lines of each part of the stack that has any."""
        found = {group: [line for line in self.lines if line.group is group] for group in Group}
        return {group: lines for group, lines in found.items() if lines}


def estimate(resources: Iterable[Resource], idle: Load, load: Load) -> Estimate:
    """Price each resource twice, at both loads."""
    lines: list[Line] = []
    free: list[Unbilled] = []
    not_priced: list[Unbilled] = []
    for resource in resources:
        if resource.type in FREE:
            free.append(_unbilled(resource, FREE[resource.type]))
            continue
        try:
            found = _lines(resource, idle, load)
        except NotPricedError as reason:
            not_priced.append(_unbilled(resource, str(reason)))
            continue
        if found:
            lines += found
        else:
            free.append(_unbilled(resource, "nothing of it is billed as it is set up"))
    return Estimate(idle=idle, load=load, lines=lines, free=free, not_priced=not_priced)


def _lines(resource: Resource, idle: Load, load: Load) -> list[Line]:
    if resource.type not in RULES:
        raise NotPricedError("no price for this type")
    rules = [RULES[resource.type], *([LOGS[resource.type]] if resource.type in LOGS else [])]
    return [
        Line(
            group=group,
            resource=resource.name,
            what=least.what,
            price=least.price,
            idle_quantity=least.quantity,
            load_quantity=most.quantity,
        )
        for group, rule in rules
        for least, most in zip(rule(resource, idle), rule(resource, load), strict=True)
    ]


def _unbilled(resource: Resource, reason: str) -> Unbilled:
    return Unbilled(resource=resource.name, type=resource.type, reason=reason)
