"""Why the engine replaces what it replaces: it says so for the first resource of a chain alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from delivery.preview.differences import Difference, within
from delivery.preview.differences import of as differences
from delivery.preview.plan import Op, Plan, Step


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A resource that is replaced for its own changes, and those that are because they depend on it."""

    step: Step
    changed: Sequence[Difference]
    followers: Sequence[Step]


def causes(plan: Plan) -> list[Cause]:
    """Each cause of a replacement with its followers, the one with the most followers first.

    A replacement that neither has a reason nor depends on one that has is a cause of its own.
    """
    replaced = {step.urn: step for step in plan.of(Op.REPLACE)}
    followers: dict[str, list[Step]] = {}
    for step in replaced.values():
        followers.setdefault(_root(step, replaced), []).append(step)
    found = [
        Cause(
            step=replaced[urn],
            changed=[one for one in differences(replaced[urn]) if _concerns(one, replaced[urn].because)],
            followers=[step for step in steps if step.urn != urn],
        )
        for urn, steps in followers.items()
    ]
    return sorted(found, key=lambda cause: (-len(cause.followers), cause.step.urn))


def _concerns(difference: Difference, because: Sequence[str]) -> bool:
    return any(within(difference.path, one) for one in because)


def _root(step: Step, replaced: Mapping[str, Step]) -> str:
    """The nearest replaced resource with a reason of its own, by the values that come from it before other edges."""
    seen, wave = {step.urn}, [step]
    while wave:
        with_reason = [one for one in wave if _own_reason(one, replaced)]
        if with_reason:
            return with_reason[0].urn
        found = [replaced[urn] for one in wave for urn in _upstream(one) if urn in replaced and urn not in seen]
        wave = list({one.urn: one for one in found}.values())
        seen.update(one.urn for one in wave)
    return step.urn


def _own_reason(step: Step, replaced: Mapping[str, Step]) -> bool:
    """Whether it is replaced for an input that no other replaced resource gives it."""
    edges = step.state.depends_on
    return any(not any(urn in replaced for urn in edges.get(reason, ())) for reason in step.because)


def _upstream(step: Step) -> list[str]:
    edges = step.state.depends_on
    by_value = [urn for key in sorted(edges) if key for urn in edges[key]]
    return [*by_value, *edges.get("", ()), *([step.state.parent] if step.state.parent else [])]
