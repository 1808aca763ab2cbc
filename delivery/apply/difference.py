"""In what a plan differs from the approved one, in words, with the cause where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from delivery.apply.approval import Approval, by_name
from delivery.preview.report import Report
from delivery.preview.text import Code, Phrase, plain

_ADDED, _GONE, _OTHER = "added: ", "gone: ", "changed: "


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One resource whose change is another than the approved one."""

    resource: str
    what: Phrase


def differences(approved: Approval, now: Report) -> list[Difference]:
    """Return each resource that only one of the plans changes, or that they change differently.

    The list is empty where only the fingerprint of the approved plan is known.
    """
    if not approved.parts:
        return []
    words = by_name((name, plain(change.what)) for change in now.changes for name in change.names)
    found = []
    for urn in sorted({*approved.parts, *now.parts}, key=_name):
        before, after = approved.parts.get(urn), now.parts.get(urn)
        if before == after:
            continue
        name = _name(urn)
        was, will = approved.changes.get(name, "no change"), words.get(name, "no change")
        if before is None:
            what: Phrase = [_ADDED, Code(name), " ", Code(will)]
        elif after is None:
            what = [_GONE, Code(name), " ", Code(was)]
        elif was == will:
            what = [_OTHER, Code(name), " ", Code(will), ", with other values"]
        else:
            what = [_OTHER, Code(name), " ", Code(was), ", now ", Code(will)]
        found.append(Difference(resource=name, what=what))
    return found


def cause(approved: Approval, *, head: str, engine: str, applied: str) -> Phrase:
    """Return why the plans differ, as far as it is known: `applied` says when the approved one was applied, if it was.

    `head` and `engine` are those of the plan as it is now.
    """
    if applied:
        return ["the approved plan was applied ", applied]
    causes: list[Phrase] = []
    if approved.engine and approved.engine != engine:
        causes.append(["engine ", Code(approved.engine), ", now ", Code(engine)])
    if approved.head and approved.head != head:
        causes.append(["commit ", Code(approved.head), ", now ", Code(head)])
    if not causes and approved.head:
        return ["the same commit: the stack's state is another one, by an update, a failure or a recovery"]
    return [part for index, one in enumerate(causes) for part in ([", "] if index else []) + list(one)] or ["unknown"]


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def listed(found: Sequence[Difference], most: int) -> list[Phrase]:
    """Return at most so many differences; a last line counts the others."""
    more = len(found) - most
    return [one.what for one in found[:most]] + ([[f"and {more} more"]] if more > 0 else [])
