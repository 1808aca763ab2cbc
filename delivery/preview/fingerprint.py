"""One short text that names a plan: equal for equal plans, whenever and wherever they were computed."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from delivery.preview.plan import Op, Plan, State, Step

LENGTH: Final = 16


def fingerprint(plan: Plan) -> str:
    """The plan's name: 16 hexadecimal digits of what it creates, changes and deletes, of what loses protection, and of
    which values are known only after the update.

    The order in which the engine reports, times, outputs and places in the source are no part of it: they differ
    between two previews of the same plan. Two previews with another version of the engine or provider may differ.
    """
    return _digest([plan.stack, [_described(step) for step in _of_the_plan(plan)]])


def parts(plan: Plan) -> dict[str, str]:
    """A fingerprint of each resource that the plan's fingerprint counts, by its urn: two plans differ in these."""
    by_urn: dict[str, list[Any]] = {}
    for step in _of_the_plan(plan):
        by_urn.setdefault(step.urn, []).append(_described(step))
    return {urn: _digest(steps) for urn, steps in by_urn.items()}


def _of_the_plan(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.op is not Op.SAME or step.loses_protection or step.awaits]


def _digest(of: list[Any]) -> str:
    text = json.dumps(of, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _described(step: Step) -> list[Any]:
    awaits = [list(step.awaits)] if step.awaits else []
    return [step.urn, step.op.value, step.type, list(step.because), _state(step.before), _state(step.after), *awaits]


def _state(state: State | None) -> list[Any] | None:
    if state is None:
        return None
    return [state.inputs, state.protect, sorted(state.depends_on.get("", ()))]
