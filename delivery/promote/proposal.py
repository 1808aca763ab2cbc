"""What a promotion is about to change, and what a reviewer reads of it: Markdown for a pull request, and JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from delivery.preview.inline import rendered
from delivery.preview.text import Code, Phrase, count, plain, value
from delivery.promote import gates
from delivery.promote.gates import Change, Outcome, State
from delivery.promote.release import Release
from delivery.repository import Commit

MOST_COMMITS: Final = 30
"""Commits that the text lists; the rest is counted."""

_MARKS: Final[Mapping[State, str]] = {
    State.PASSED: "passed",
    State.ACCEPTED: "**accepted**",
    State.SKIPPED: "**skipped**",
    State.UNKNOWN: "**not checked**",
    State.STOPPED: "**stopped**",
}
_REASON: Final = 200

# Trailers of the commit, by which a report names what was asked of the release.
RELEASE: Final = "Release"
GATES: Final = "Gates"


def gates_said(trailer: str) -> dict[str, str]:
    """Return what each gate said, by its id, from the trailer of a commit; nothing that no gate says."""
    pairs = (one.strip().partition(" ") for one in trailer.split(";"))
    states = {state.value for state in State}
    return {gate: state for gate, _, state in pairs if gate in _IDS and state in states}


_IDS: Final = frozenset(gate.id for gate in gates.GATES)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A change of one stack's file. `base` is the commit that it is made on, `branch` what it is pushed as.

    `source` names where the release comes from: a stack, a document of an image, or the history of the file. `travels`
    has settings that come along, `differences` those by which the two stacks differ beside their profiles, as written
    in each file. `commits` are None where git does not have them. `report` says what a preview of the target shows,
    `read` has the files that it is made from. `reason` is a rollback's, in words of whoever asked for it.
    """

    change: Change
    source: str
    target: str
    path: str
    base: str
    branch: str
    before: bytes
    after: bytes
    release: Release
    previous: Release | None
    outcomes: Sequence[Outcome]
    report: Phrase
    commits: Sequence[Commit] | None = None
    travels: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    emergency: str = ""
    reason: str = ""
    read: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def stopped(self) -> list[Outcome]:
        """The gates that it does not pass."""
        return [one for one in self.outcomes if one.stops]

    @property
    def waits(self) -> bool:
        """Whether one of them opens by itself, so that what the others say is not the last word."""
        return any(one.waits for one in self.stopped)

    @property
    def title(self) -> str:
        """The subject of the commit and of the pull request."""
        mlflow = f", MLflow {self.release.mlflow}" if self.release.mlflow else ""
        if self.change is Change.ROLLBACK:
            return f"Roll {self.target} back to {self.release.short}{mlflow}"
        return f"Promote {self.release.short}{mlflow} to {self.target}"

    @property
    def message(self) -> str:
        """The message of the commit: from which release to which, the gates, and what somebody took on, as trailers.

        Who and when are the commit's own.
        """
        said = "; ".join(f"{one.gate} {one.state.value}" for one in self.outcomes)
        before = self.previous
        trailers = [
            (RELEASE, self.release.digest),
            ("Built-From", self.release.commit),
            ("Release-From", _line(self.source)),
            ("Release-Before", before.digest if before else ""),
            ("Before-Built-From", before.commit if before else ""),
            (GATES, said),
            *(("Accepts", word) for word in self.accepted),
            ("Emergency", _line(self.emergency) if self.emergency else ""),
            ("Reason", _line(self.reason) if self.reason else ""),
        ]
        return "\n".join([self.title, "", *(f"{name}: {text}" for name, text in trailers if text)]) + "\n"

    @property
    def accepted(self) -> list[str]:
        """The words that a person took on and that counted, as trailers have them."""
        return [one.word for one in self.outcomes if one.state is State.ACCEPTED]

    @property
    def diff(self) -> list[str]:
        """The changed lines, with `-` and `+` before them."""
        before, after = (text.decode().splitlines() for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, lineterm="", n=0)
        return [line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@"]


def markdown(proposal: Proposal) -> str:
    """The text of the pull request. What others wrote stands in it as code: nothing of it is rendered or notifies."""
    return "\n".join(_lines(proposal)) + "\n"


def document(proposal: Proposal) -> dict[str, Any]:
    """The proposal for a program."""
    return {
        "title": proposal.title,
        "change": proposal.change.value,
        "from": proposal.source,
        "to": proposal.target,
        "file": proposal.path,
        "base": proposal.base,
        "branch": proposal.branch,
        "release": _release(proposal.release),
        "previous": _release(proposal.previous) if proposal.previous else None,
        "diff": proposal.diff,
        "gates": [
            {"id": one.gate, "state": one.state.value, "found": plain(one.found), "do": plain(one.remedy)}
            for one in proposal.outcomes
        ],
        "passed": not proposal.stopped,
        "accepted": proposal.accepted,
        "emergency": proposal.emergency,
        "reason": proposal.reason,
        "preview": plain(proposal.report),
        "commits": None
        if proposal.commits is None
        else [{"commit": one.id, "subject": one.subject} for one in proposal.commits],
        "travels": {key: {"from": old, "to": new} for key, (old, new) in proposal.travels.items()},
        "differences": {
            key: {proposal.source: mine, proposal.target: theirs}
            for key, (mine, theirs) in proposal.differences.items()
        },
        "markdown": markdown(proposal),
    }


def _release(release: Release) -> dict[str, Any]:
    return {
        "digest": release.digest,
        "commit": release.commit,
        "mlflow": release.mlflow,
        "schema": release.schema,
        "contract": release.contract,
    }


def _lines(proposal: Proposal) -> Iterator[str]:
    yield f"### {rendered(_title(proposal))}"
    yield ""
    if proposal.emergency:
        reason = rendered([Code(proposal.emergency)])
        yield f"> [!CAUTION]\n> **Emergency.** Smoke, soak time and alerts were skipped: {reason}"
        yield ""
    if proposal.reason:
        yield f"**Why:** {rendered([Code(proposal.reason)])}"
        yield ""
    if proposal.stopped:
        ids = ", ".join(f"`{one.gate}`" for one in proposal.stopped)
        yield f"> [!CAUTION]\n> **Not promoted.** It does not pass {ids}."
        yield ""
    yield f"| {rendered([Code(proposal.path)], table=True)} | now | after |"
    yield "|---|---|---|"
    yield from _rows(proposal)
    yield ""
    yield f"**Preview of {proposal.target}:** {rendered(proposal.report)}"
    yield ""
    yield "| gate | | found | what to do |"
    yield "|---|---|---|---|"
    for one in proposal.outcomes:
        found, remedy = (rendered(cell, table=True) for cell in (one.found, one.remedy))
        yield f"| `{one.gate}` | {_MARKS[one.state]} | {found} | {remedy} |"
    yield ""
    yield from _commits(proposal)
    yield from _differences(proposal)
    yield f"<sub>On {rendered([Code(proposal.base[:12])])}, as branch {rendered([Code(proposal.branch)])}.</sub>"


def _title(proposal: Proposal) -> Phrase:
    old: Phrase = [Code(proposal.previous.short), " → "] if proposal.previous else []
    what = "back to " if proposal.change is Change.ROLLBACK else ""
    return [Code(proposal.target), ": ", *old, what, Code(proposal.release.short), " from ", Code(proposal.source)]


def _rows(proposal: Proposal) -> Iterator[str]:
    new, old = _release(proposal.release), _release(proposal.previous) if proposal.previous else {}
    for key, after in new.items():
        before = old.get(key) or None
        cells = ([value(before)], ["the same"] if before == after else [value(after or None)])
        yield _row(key, *cells)
    for key, (before, after) in proposal.travels.items():
        yield _row(key, [value(before)], [value(after)])


def _row(key: str, *cells: Phrase) -> str:
    return (
        " | ".join([f"| {rendered([Code(key)], table=True)}", *(rendered(cell, table=True) for cell in cells)]) + " |"
    )


def _commits(proposal: Proposal) -> Iterator[str]:
    commits = proposal.commits
    if commits is None:
        yield "**Commits:** not known here."
    elif not commits:
        yield "**Commits:** none between the two."
    else:
        verb = "goes back over" if proposal.change is Change.ROLLBACK else "brings"
        yield f"<details><summary><b>It {verb} {count(len(commits), 'commit')}</b></summary>"
        yield ""
        for one in commits[:MOST_COMMITS]:
            yield f"- {rendered([Code(one.id[:12]), ' ', Code(one.subject)])}"
        if len(commits) > MOST_COMMITS:
            yield f"- and {len(commits) - MOST_COMMITS} more"
        yield ""
        yield "</details>"
    yield ""


def _differences(proposal: Proposal) -> Iterator[str]:
    if not proposal.differences:
        return
    number = len(proposal.differences)
    yield f"<details><summary><b>In what the stacks differ beside their profiles: {number}</b></summary>"
    yield ""
    yield _row("setting", [Code(proposal.source)], [Code(proposal.target)])
    yield "|---|---|---|"
    for key, cells in proposal.differences.items():
        yield _row(key, *(["as its profile"] if cell is None else [value(cell)] for cell in cells))
    yield ""
    yield "</details>"
    yield ""


def _line(text: str) -> str:
    """A text in one line without control characters, so that it cannot be another trailer."""
    return plain([Code(text)])[:_REASON]
