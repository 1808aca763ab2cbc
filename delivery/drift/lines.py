"""Drift as lines of a table: each resource that differs on Azure, the dangerous ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from delivery.drift.ignored import IGNORED, Ignored
from delivery.preview.differences import Difference, within
from delivery.preview.differences import of as differences
from delivery.preview.findings.costs import before_and_after
from delivery.preview.findings.data import data
from delivery.preview.findings.network import network
from delivery.preview.findings.protection import protection
from delivery.preview.findings.rights import rights
from delivery.preview.plan import Op, Plan, Step
from delivery.preview.reasons import Finding, Reason

DANGERS: Final[Sequence[Finding]] = (data, network, rights, protection)
"""The aspects of data and security: what one of them finds blocks updates of the stack until it is decided."""


@dataclass(frozen=True, kw_only=True)
class LastChange:
    """Who changed a resource last, by Azure's activity log: a name or an id, what was done, and when (UTC)."""

    caller: str
    operation: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Line:
    """One resource: `before` of a difference is the program's value, `after` is Azure's; none where Azure deleted it.

    `dangers` has a few words for each danger to data or security. `usd` is what it adds to a month when idle. `last`
    is None where the activity log does not say who changed it.
    """

    step: Step
    differences: Sequence[Difference]
    dangers: Sequence[str]
    usd: float
    last: LastChange | None = None

    @property
    def gone(self) -> bool:
        """Whether Azure has it no longer."""
        return self.step.op is Op.DELETE

    @property
    def blocks(self) -> bool:
        """Whether updates wait until somebody has decided."""
        return bool(self.dangers)


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A difference that Azure writes itself, and the rule that lets it pass."""

    resource: str
    path: str
    rule: Ignored


@dataclass(frozen=True, kw_only=True)
class Drift:
    """All of a stack's drift. Roles, rules and resources that the program never made are not seen by a refresh.

    `unread` says why the activity log could not be read, empty if it was.
    """

    stack: str
    lines: Sequence[Line]
    passed: Sequence[Passed] = ()
    unread: str = ""

    @property
    def blocks(self) -> bool:
        """Whether updates of the stack wait."""
        return any(line.blocks for line in self.lines)


def drift(plan: Plan) -> Drift:
    """The drift in a refresh: its steps have the program's state before, and Azure's after."""
    lines: list[Line] = []
    passed: list[Passed] = []
    for step in plan.changes:
        found = []
        for one in _not_left_to_azure(step):
            rule = next((rule for rule in IGNORED if rule.covers(step, one)), None)
            if rule is None:
                found.append(one)
            else:
                passed.append(Passed(resource=step.name, path=one.path, rule=rule))
        if found or step.op is Op.DELETE:
            lines.append(_line(plan, step, found))
    lines.sort(key=lambda line: (not line.blocks, line.step.name))
    return Drift(stack=plan.stack, lines=lines, passed=passed)


def both(first: Drift, second: Drift) -> Drift:
    """What two checks see alike. What an update, or Azure, was just about to change is in one of them alone."""
    seen = {(line.step.urn, _paths(line)) for line in first.lines}
    return replace(second, lines=[line for line in second.lines if (line.step.urn, _paths(line)) in seen])


def _not_left_to_azure(step: Step) -> list[Difference]:
    def compared(one: Difference) -> bool:
        return any(within(one.path, path) or within(path, one.path) for path in step.paths)

    return [one for one in differences(step) if not step.paths or compared(one)]


def _paths(line: Line) -> tuple[str, ...]:
    return tuple(one.path for one in line.differences)


def _line(plan: Plan, step: Step, found: Sequence[Difference]) -> Line:
    # The others stay in the plan as they are: a finding may look at them.
    alone = replace(plan, steps=[one if one is step else _unchanged(one) for one in plan.steps])
    reasons = [one for finding in DANGERS for one in finding(alone) if isinstance(one, Reason)]
    before, after = before_and_after(alone)
    return Line(
        step=step,
        differences=found,
        dangers=list(dict.fromkeys(reason.headline for reason in reasons)),
        usd=after.idle_usd - before.idle_usd,
    )


def _unchanged(step: Step) -> Step:
    return replace(step, op=Op.SAME, after=step.before) if step.before else step
