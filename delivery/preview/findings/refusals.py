"""What will fail although the engine plans it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.azure_types.type_tokens import versionless
from delivery.offline_azure import updates
from delivery.preview.findings.protection import LOCK
from delivery.preview.findings.rights import ASSIGNMENT
from delivery.preview.plan import Op, Plan, Step
from delivery.preview.reasons import Found, Reason, Subject, Verdict
from delivery.preview.text import Code, Phrase, Strong, count, listed, shortened


def refusals(plan: Plan) -> Iterator[Found]:
    """Updates that Azure refuses, deletions under a lock that stays, and what the engine's protection stops."""
    living = _living(plan)
    for step in plan.of(Op.UPDATE):
        if not step.before or step.before.id.lower() not in living:
            continue
        refused = updates.refusal(versionless(step.type), step.before.id, step.old, step.new, living)
        if refused is not None:
            yield _refusal(
                step,
                [
                    Strong("Azure will refuse"),
                    " the change of ",
                    Code(step.name),
                    ": ",
                    Code(shortened(refused.message)),
                ],
            )
    for step, lock in _locked(plan):
        yield _refusal(
            step,
            [
                Strong("Azure will refuse"),
                " to delete ",
                Code(step.name),
                *([", which an earlier update left,"] if step.op is Op.PENDING else []),
                " while the lock ",
                Code(lock.name),
                " exists. Take the lock off before, as ",
                Code("docs/azure.md#change-it"),
                " says.",
            ],
        )
    protected = [step for step in plan.of(Op.REPLACE, Op.DELETE) if step.protected]
    if protected:
        yield Reason(
            subject=Subject.REFUSAL,
            verdict=Verdict.REFUSED,
            headline=f"{count(len(protected), 'protected resource')} in the way",
            phrase=[
                "The engine refuses the update: it would delete ",
                *listed(step.name for step in protected),
                ", which the program protects.",
            ],
            urn=protected[0].urn,
        )


def pending(plan: Plan) -> Iterator[Found]:
    """Deletions that an earlier update left: the next one tries them again, and a preview says `no change`.

    The engine has no other way to end them: it deletes them first in each update, until one succeeds. Those under a
    lock are reported as refusals.
    """
    locked = {step.urn for step, _ in _locked(plan)}
    steps = [step for step in plan.of(Op.PENDING) if step.urn not in locked]
    if steps:
        yield Reason(
            subject=Subject.STATE,
            verdict=Verdict.DECIDE,
            headline=f"an earlier update left {count(len(steps), 'deletion')}",
            phrase=[
                "An earlier update failed before it deleted ",
                *listed(step.name for step in steps),
                " on Azure. This update deletes it first, and fails again while what stopped it is there, such as a "
                "lock or a missing right: the output of the failed update names it.",
            ],
            urn=steps[0].urn,
        )


def _living(plan: Plan) -> dict[str, dict[str, Any]]:
    """The stack's resources on Azure by their id in lower case, as the offline Azure keeps them."""
    return {
        step.before.id.lower(): {"id": step.before.id, "type": versionless(step.type), "inputs": dict(step.old)}
        for step in plan.steps
        if step.before is not None and step.before.id.startswith("/subscriptions/")
    }


def _refusal(step: Step, phrase: Phrase) -> Reason:
    return Reason(
        subject=Subject.REFUSAL, verdict=Verdict.REFUSED, headline="will fail on Azure", phrase=phrase, urn=step.urn
    )


def _locked(plan: Plan) -> Iterator[tuple[Step, Step]]:
    """Assignments of roles that go, or should have gone, while a lock at or above their scope stays, with that lock.

    Other resources under a lock are the protected ones, which the engine refuses already, or their children, which a
    replacement of these takes along.
    """
    locks = [step for step in plan.steps if step.kind == LOCK and step.before and step.op in (Op.SAME, Op.UPDATE)]
    for step in plan.of(Op.DELETE, Op.REPLACE, Op.PENDING):
        if step.kind == ASSIGNMENT:
            lock = next((lock for lock in locks if _under(_scope(step.old), _scope(lock.old))), None)
            if lock is not None:
                yield step, lock


def _scope(inputs: Mapping[str, object]) -> str:
    return str(inputs.get("scope", "")).lower().rstrip("/")


def _under(scope: str, top: str) -> bool:
    return bool(top) and (scope == top or scope.startswith(f"{top}/"))
