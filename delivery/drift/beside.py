"""A stack's drift beside the plan of a change: what differs on Azure already, whoever changed it, and not by the plan.

The engine looks in a run of its own. In one run with the preview it would mix both: what was deleted on Azure would be
shown as created by the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.drift.check import refreshed
from delivery.drift.lines import Line, drift
from delivery.outcome import CommandError
from delivery.preview.plan import Op, Plan, PlanError, read
from delivery.preview.report import Beside, each
from delivery.preview.text import Code, Phrase, Strong
from delivery.pulumi.engine import Engine

MOST: Final = 3
"""Differences of one resource that a report of a change shows; `mlflow-platform drift` has all of them."""


def looked(engine: Engine, stack: str) -> dict[str, Any]:
    """Look at Azure. Return the engine's document as `refresh`, or the reason why there is none as `error`."""
    try:
        return {"refresh": refreshed(engine, stack), "error": ""}
    except CommandError as error:
        return {"refresh": None, "error": str(error)}


def beside(found: Mapping[str, Any], plan: Plan) -> Beside:
    """Return what differs on Azure beside a plan, from what `looked` has returned. Raises PlanError for anything else.

    What it contains may come from another machine, so it is data.
    """
    if found.get("refresh") is None:
        return Beside(error=str(found.get("error") or "the engine said nothing"))
    refresh = read(found["refresh"])
    if refresh.errors:
        return Beside(error=refresh.errors[0])
    if refresh.stack not in ("", plan.stack):
        raise PlanError(f"`drift` is of stack {refresh.stack!r}, and the plan of {plan.stack!r}.")
    lines = drift(refresh).lines
    changed = {step.urn for step in plan.of(Op.UPDATE, Op.REPLACE, Op.DELETE)}
    return Beside(
        lines=[_line(line, too=line.step.urn in changed) for line in lines],
        blocking=[line.step.name for line in lines if line.blocks],
    )


def _line(line: Line, *, too: bool) -> Phrase:
    what: Phrase = [Strong("deleted")] if line.gone else each(line.differences, most=MOST)
    dangers: Phrase = [": ", Strong("; ".join(line.dangers))] if line.dangers else []
    return [Code(line.step.name), " ", *what, *dangers, *([" (this change is of it too)"] if too else [])]
