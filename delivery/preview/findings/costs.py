"""What a month costs now and after, by list prices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from delivery.cost.estimate import Estimate, estimate
from delivery.cost.load import IDLE, WORKING
from delivery.cost.resources import read
from delivery.preview.plan import Plan, State, Step
from delivery.preview.reasons import Figure, Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Strong, count

WORTH_A_DECISION: Final = 1.25
"""From this factor on somebody has to decide whether the new cost is meant."""

_CENT = 0.005


def costs(plan: Plan) -> Iterator[Found]:
    """The month's cost where it changes, with each line that does; and what has no price."""
    before, after = before_and_after(plan)
    yield from _budget(plan, before, after)
    if {one.resource for one in after.not_priced} != {one.resource for one in before.not_priced}:
        names = ", ".join(one.resource for one in after.not_priced[:6])
        yield Row(
            subject=Subject.COST,
            what="without a price",
            now=[count(len(before.not_priced), "resource")],
            after=[f"{count(len(after.not_priced), 'resource')}: ", Code(names)],
        )
    if abs(before.idle_usd - after.idle_usd) < _CENT and abs(before.load_usd - after.load_usd) < _CENT:
        yield Figure(subject=Subject.COST, words=f"{span(after)} USD a month")
        return
    yield Row(
        subject=Subject.COST,
        what="cost a month, idle to load, USD",
        now=["none" if plan.empty_before else span(before)],
        after=[Strong(span(after))],
    )
    yield from _lines(before, after)
    if not plan.empty_before and after.load_usd > before.load_usd * WORTH_A_DECISION:
        yield Reason(
            subject=Subject.COST,
            verdict=Verdict.DECIDE,
            headline=f"+{after.idle_usd - before.idle_usd:,.0f} USD a month",
            phrase=[
                Strong(f"Cost +{after.idle_usd - before.idle_usd:,.0f} USD a month"),
                f" when idle, +{after.load_usd - before.load_usd:,.0f} at load.",
            ],
        )


def _budget(plan: Plan, before: Estimate, after: Estimate) -> Iterator[Found]:
    """A budget that the estimate exceeds from now on: its notices would come each month, and soon nobody reads them."""
    for step in plan.steps:
        now, was = step.new.get("amount"), step.old.get("amount")
        if step.kind != "consumption:Budget" or now is None or now >= after.load_usd:
            continue
        if was is not None and was < before.load_usd:
            continue
        yield Reason(
            subject=Subject.COST,
            verdict=Verdict.DECIDE,
            headline="costs more than its budget",
            phrase=[
                Strong("The estimate exceeds the budget"),
                f" of {now:,.0f} USD a month{'' if now < after.idle_usd else ' at load'}: {span(after)}.",
            ],
            remedy=f"pulumi config set --path monitoring.monthlyBudget {_next_hundred(after.load_usd)} -s {plan.stack}",
            urn=step.urn,
        )


def _next_hundred(amount: float) -> int:
    return (int(amount) // 100 + 1) * 100


def before_and_after(plan: Plan) -> tuple[Estimate, Estimate]:
    """Both estimates of the stack."""
    return (
        estimate(read([_resource(step, step.before) for step in plan.steps if step.before]), IDLE, WORKING),
        estimate(read([_resource(step, step.after) for step in plan.steps if step.after]), IDLE, WORKING),
    )


def span(of: Estimate) -> str:
    """`446 to 606`."""
    return f"{of.idle_usd:,.0f} to {of.load_usd:,.0f}"


def _lines(before: Estimate, after: Estimate) -> Iterator[Row]:
    """The lines whose idle cost changes: what grows with the load alone is in the total."""
    then, now = ({f"{line.resource}: {line.what}": line.idle_usd for line in one.lines} for one in (before, after))
    if not then:
        return
    names = [name for name in {**then, **now} if abs(then.get(name, 0) - now.get(name, 0)) >= _CENT]
    for name in names:
        yield Row(
            subject=Subject.COST,
            what=Code(name),
            now=[f"{then[name]:,.2f}" if name in then else "none"],
            after=[f"{now[name]:,.2f}" if name in now else "none"],
        )


def _resource(step: Step, state: State) -> dict[str, object]:
    return {"type": step.type, "name": step.name, "inputs": dict(state.inputs)}
