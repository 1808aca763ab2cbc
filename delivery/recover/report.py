"""The words and the document of a recovery."""

from __future__ import annotations

from typing import Any, Final

from delivery.recover.recovery import Found, Outcome, Recovered, Settled
from delivery.recover.state import Care, Pending

_WILL: Final = {
    Care.BRING_BACK: "brought into the state if Azure has made it",
    Care.REFRESH: "the state is brought to what Azure has",
    Care.REPEAT: "left to the next `up`, which does it again",
    Care.UNKNOWN: "not known here: yours to look at",
}
_WAS: Final = {
    Outcome.IMPORTED: "is in the state now",
    Outcome.PRESENT: "was in the state already",
    Outcome.ABSENT: "Azure has none; the next `up` makes it",
    Outcome.REPLACED_AGAIN: "the next `up` replaces it again",
    Outcome.REFRESHED: "the state is what Azure has; the next `up` or `destroy` does the rest",
    Outcome.REPEATED: "the next `up` does it again",
    Outcome.FAILED: "NOT brought back",
}


def found_text(stack: str, found: Found) -> str:
    """What was found, and what is about to be done with it."""
    if found.nothing:
        return f"Stack {stack}: no lock and no interrupted operation; there is nothing to recover."
    lock = f"locked, {found.lock}" if found.lock else "not locked"
    count = len(found.operations)
    lines = [f"Stack {stack}: {lock}; {count or 'no'} interrupted operation{'' if count == 1 else 's'}."]
    return "\n".join([*lines, *(f"  {_operation(one)}: {_WILL[one.care]}" for one in found.operations)])


def question(stack: str) -> str:
    """What has to be true before anything is touched."""
    return f"Recover stack {stack}? Say yes only if no `pulumi` works on it anywhere, no workflow's either."


def done_text(stack: str, done: Recovered) -> str:
    """What was done, and what comes next."""
    lines = [_settled(one) for one in done.settled]
    lines += [f"The previous state is in {done.backup}."] if done.backup else []
    if not done.complete:
        return "\n".join(
            [*lines, "Not all is brought back: see above. The interrupted creates stay noted in the state."]
        )
    if not done.settled:
        return "\n".join([*lines, f"The lock is off. Next: `pulumi up --stack {stack}`."])
    return "\n".join(
        [
            *lines,
            f"Next: `pulumi preview --refresh --stack {stack}`. Where it replaces and deletes nothing of the above, "
            f"`pulumi up --refresh --stack {stack}` finishes what was interrupted.",
        ]
    )


def document(stack: str, found: Found, done: Recovered | None) -> dict[str, Any]:
    """All of it, for programs. Without `done` there was nothing to do."""
    return {
        "stack": stack,
        "lock": found.lock,
        "backup": str(done.backup) if done and done.backup else None,
        "complete": done is None or done.complete,
        "operations": [
            {
                "name": one.operation.name,
                "type": one.operation.type,
                "urn": one.operation.urn,
                "operation": one.operation.operation,
                "outcome": one.outcome.value,
                "id": one.identifier,
                "note": one.note,
            }
            for one in (done.settled if done else [])
        ],
    }


def _operation(one: Pending) -> str:
    return f"{one.operation} {one.name} ({one.type})"


def _settled(one: Settled) -> str:
    words = [_WAS[one.outcome], one.note, one.identifier or ""]
    return f"  {_operation(one.operation)}: {'; '.join(word for word in words if word)}"
