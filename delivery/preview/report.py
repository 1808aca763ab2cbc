"""The report of one stack: what a reviewer has to know of a plan, before any form is given to it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from delivery.preview.causes import causes
from delivery.preview.differences import ABSENT, Difference
from delivery.preview.differences import of as differences
from delivery.preview.findings import FINDINGS
from delivery.preview.findings.releases import releases as between
from delivery.preview.fingerprint import fingerprint, parts
from delivery.preview.plan import Op, Plan, Step, is_unknown
from delivery.preview.reasons import Figure, Fixed, Found, Reason, Row, Subject, Verdict, sequence
from delivery.preview.releases import Releases, by_state
from delivery.preview.text import Code, Part, Phrase, Strong, count, listed, tally, value
from delivery.promote.gates import State

_ASPECTS: Final = (Subject.DATA, Subject.NETWORK, Subject.RIGHTS, Subject.PROTECTION, Subject.IMAGE)
"""What a report names as unchanged where nothing of it differs; cost and connections come with their figures."""

ROWS: Final = 8
"""Rows of one subject that a report shows."""

_WAITS: Final = {
    "RevisionReady": "waits for the new revision",
    "RolledOut": "waits for the new revision",
    "JobExecution": "runs once",
    "ImageImport": "imports the image",
}
"""What a resource that only does something does, by its type."""
_REFUSED = re.compile(
    r"The (?:configuration|resources) of stack (?P<stack>\S+) cannot be (?:used|made):\n(?P<problems>.*)", re.DOTALL
)
_RUN = re.compile(r"; run `(pulumi [^`]+)`")
_PROBLEM = re.compile(r"^\s+- ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to some resources alike: `what` of each of them."""

    names: Sequence[str]
    what: Phrase


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a plan comes from, as far as it is known: revisions of the repository, what it was compared with, and the
    engine's version.
    """

    head: str = ""
    base: str = ""
    against: str = ""
    engine: str = ""
    offline: bool = False


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What differs on Azure already and is not from the plan: a line for each resource, the dangerous ones first.

    Updates of the stack wait for those that are `blocking`, by name. `error` says why nobody could look.
    """

    lines: Sequence[Phrase] = ()
    blocking: Sequence[str] = ()
    error: str = ""

    def title(self, stack: str) -> Phrase:
        """What it is, and what the reader does about it."""
        if self.error:
            return [Strong("Drift is not known:"), " ", Code(self.error)]
        number = len(self.lines)
        differ = f"{count(number, 'resource')} {'differs' if number == 1 else 'differ'} on Azure"
        title: list[Part] = [Strong(f"Not from this change: {differ}.")]
        if self.blocking:
            title += [" Updates wait until somebody has decided on ", *listed(self.blocking), "."]
        return [*title, " Both ways out: ", Code(f"mlflow-platform drift {stack}")]

    @property
    def shown(self) -> Sequence[Phrase]:
        """At most ROWS of the lines; a last one counts the others."""
        more = len(self.lines) - ROWS
        return [*self.lines[:ROWS], [f"and {more} more"]] if more > 0 else self.lines


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is reported of one stack's plan, the worst first.

    `title` are the headlines; `unchanged` says in one line what stays; `plan` is the fingerprint, empty where no plan
    could be computed, and `parts` has the fingerprint of each resource by its urn. `counts` has the number of resources
    by what happens to them. `unknowns` counts those with a value that is known only after the update; of these
    `awaiting` counts those that take it from where they did, so that it stays unless the program takes another output
    there. `beside` has the drift, None where nobody looked for it; it is no part of the plan. `gates`
    says what `promote` found of the release that the stack gets, or that nobody asked.
    """

    stack: str
    verdict: Verdict
    title: Sequence[Part]
    reasons: Sequence[Reason]
    rows: Sequence[Row]
    fixed: Sequence[Fixed]
    unchanged: Phrase
    changes: Sequence[Change]
    counts: Mapping[str, int]
    resources: int
    unknowns: int
    awaiting: int
    plan: str
    source: Source = field(default_factory=Source)
    parts: Mapping[str, str] = field(default_factory=dict)
    beside: Beside | None = None
    gates: Phrase = ()

    @property
    def not_known(self) -> str:
        """How many resources have values that are known only after the update, and what is known of these."""
        have = "has" if self.unknowns == 1 else "have"
        text = f"{count(self.unknowns, 'resource')} {have} values that are known only after the update."
        if not self.awaiting:
            return text
        take = "takes" if self.awaiting == 1 else "take"
        return (
            f"{text} Of these, {self.awaiting} {take} an output of a resource that is updated: the value stays, unless "
            "the program takes another output now."
        )

    @property
    def next(self) -> str:
        """What the reader does now."""
        match self.verdict:
            case Verdict.NOT_COMPUTED:
                return "Solve what the engine says, then preview again."
            case Verdict.REFUSED:
                again = "Change what is refused, then preview again."
                if any(reason.remedy.startswith("pulumi config ") for reason in self.reasons):
                    by_hand = f"write stacks/Pulumi.{self.stack}.yaml, which you may do by hand"
                    return f"{again} The commands {by_hand}; docs/configuration.md says what they need."
                return again
            case Verdict.DECIDE:
                return "Decide whether each numbered reason is meant, and approve the plan only if it is."
            case Verdict.NO_CHANGE:
                return "Nothing is to be done."
            case _:
                return "Nothing here needs a decision."


def report(
    plan: Plan, source: Source | None = None, beside: Beside | None = None, releases: Releases | None = None
) -> Report:
    """Look at a plan under every aspect. `beside` is the drift that somebody has looked for.

    `releases` has what the stack's file says of the images before and after.
    """
    source = source or Source()
    if plan.errors:
        return _not_planned(plan, source)
    found = [one for finding in FINDINGS for one in finding(plan)]
    found += between(releases) if releases else []
    if beside is not None and not (beside.lines or beside.error):
        found.append(Figure(subject=Subject.DRIFT, words="was looked for with this plan, and there is none"))
    reasons, rows = sequence(found)
    changes = plan.changes
    verdict = Verdict.NO_CHANGE if not (changes or reasons) else Verdict.ROUTINE
    verdict = max([verdict, *(reason.verdict for reason in reasons)])
    return Report(
        stack=plan.stack,
        verdict=verdict,
        title=_title(plan, reasons),
        reasons=reasons,
        rows=_cut(rows),
        fixed=[one for one in found if isinstance(one, Fixed)],
        unchanged=_unchanged(plan, found),
        changes=_changes(plan),
        counts=_counts(changes),
        resources=len([step for step in plan.steps if step.op not in (Op.DELETE, Op.PENDING)]),
        unknowns=sum(bool(step.awaits or (step.after and is_unknown(step.new))) for step in plan.steps),
        awaiting=len(plan.awaiting),
        plan=fingerprint(plan),
        source=source,
        parts=parts(plan),
        beside=beside,
        gates=_gates(releases) if releases and releases.differ else [],
    )


def _gates(of: Releases) -> Phrase:
    """What the gates of the promotion said: the passed ones counted, each other one by its id.

    Empty where nobody knows what ran before.
    """
    if not of.gates:
        return [Strong("not asked:"), " no commit of ", Code("promote"), " brings this image"] if of.before else []
    found = by_state(of.gates)
    parts: list[Part] = [f"{len(found.pop(State.PASSED.value, []))} passed"]
    for state, gates in found.items():
        parts += [", ", Strong(f"{state}:"), " ", *listed(gates)]
    return [*parts, ", as commit ", Code(of.commit), " says"]


def _cut(rows: Sequence[Row]) -> list[Row]:
    """At most ROWS of each subject; a last row counts the others."""
    found: list[Row] = []
    for subject in Subject:
        of = [row for row in rows if row.subject is subject]
        found += of[:ROWS]
        if len(of) > ROWS:
            found.append(Row(subject=subject, what=f"and {len(of) - ROWS} more", now=["see the list"], after=[""]))
    return found


# Offline the engine fetches no provider, and that of Azure is a stand-in: one for Kubernetes is built.
_KUBERNETES: Final = "no resource plugin 'pulumi-resource-kubernetes'"
_BUILT_HERE: Final = "make kubernetes-programs"


def _not_planned(plan: Plan, source: Source) -> Report:
    problems = [problem for error in plan.errors for problem in _problems(error)]
    refused = [
        Reason(
            subject=Subject.RULES,
            verdict=Verdict.REFUSED,
            headline=count(len(problems), "setting"),
            phrase=[Code(_RUN.sub("", one))],
            remedy=found[1] if (found := _RUN.search(one)) else "",
        )
        for one in problems
    ]
    failed = [
        Reason(
            subject=Subject.STATE,
            verdict=Verdict.NOT_COMPUTED,
            headline="the engine could not compute it",
            phrase=[Code(error)],
            remedy=_BUILT_HERE if _KUBERNETES in error else "",
        )
        for error in plan.errors[:1]
    ]
    reasons = refused or failed
    return Report(
        stack=plan.stack,
        verdict=reasons[0].verdict,
        title=[reasons[0].headline],
        reasons=reasons,
        rows=(),
        fixed=(),
        unchanged=["Nothing was compared with Azure: the program stops before its first resource."] if refused else [],
        changes=(),
        counts={},
        resources=0,
        unknowns=0,
        awaiting=0,
        plan="",
        source=source,
    )


def _problems(error: str) -> list[str]:
    """The problems of settings or resources in the program's own message."""
    found = _REFUSED.search(error)
    return [" ".join(one.split()) for one in _PROBLEM.split(found["problems"])[1:]] if found else []


def _title(plan: Plan, reasons: Sequence[Reason]) -> list[Part]:
    worst = [reason for reason in reasons if reason.verdict == reasons[0].verdict] if reasons else []
    headlines = list(dict.fromkeys(reason.headline for reason in worst))
    if plan.empty_before and plan.steps:
        headlines.insert(0, f"first deployment, {count(len(plan.steps), 'resource')}")
    if headlines:
        return [", ".join(headlines[:3])]
    if not plan.changes:
        return []
    tags = _only_tags(plan)
    if tags is not None:
        return ["tag ", Code(tags), f" of {count(len(plan.changes), 'resource')}"]
    return [tally({_noun(op): number for op, number in _counts(plan.changes).items()})]


def _noun(op: str) -> str:
    return {"pending delete": "deletion"}.get(op, op)


def _only_tags(plan: Plan) -> str | None:
    """The tag that alone changes, if one does."""
    paths = {difference.path for step in plan.changes for difference in differences(step)}
    updates = all(step.op is Op.UPDATE for step in plan.changes)
    path = next(iter(paths), "")
    return path.removeprefix("tags.") if updates and len(paths) == 1 and path.startswith("tags.") else None


def _counts(changes: Sequence[Step]) -> dict[str, int]:
    found = Counter(step.op.value for step in changes)
    return {op.value: found[op.value] for op in Op if found[op.value]}


def _unchanged(plan: Plan, found: Sequence[Found]) -> Phrase:
    touched = {one.subject for one in found if isinstance(one, Reason | Row)}
    same = [aspect.value for aspect in _ASPECTS if aspect not in touched]
    parts = [", ".join(same)] if same and plan.changes and not plan.empty_before else []
    figures = [one for one in found if isinstance(one, Figure) and one.subject not in touched]
    parts += [f"{one.subject.value} {one.words}" for one in figures]
    return [". ".join([*parts[:1], *(f"{part[:1].upper()}{part[1:]}" for part in parts[1:])])] if parts else []


def _changes(plan: Plan) -> list[Change]:
    """Resources that change alike together, in the order of what happens and of names; then those that await values."""
    alike: dict[tuple[str, str], tuple[Phrase, list[str]]] = {}
    order = list(Op)
    phrase: Phrase
    leaders = {step.urn: cause.step.name for cause in causes(plan) for step in cause.followers}
    shown = [step for step in plan.steps if step.op is not Op.SAME or step.awaits]
    for step in sorted(shown, key=lambda one: (order.index(one.op), one.name)):
        leader = leaders.get(step.urn)
        phrase = [Strong("replaced"), " with ", Code(leader)] if leader else _described(step)
        alike.setdefault((step.op.value, repr(phrase)), (phrase, []))[1].append(step.name)
    return [Change(names=names, what=phrase) for phrase, names in alike.values()]


def _described(step: Step) -> Phrase:
    if does := _WAITS.get(step.type.rpartition(":")[2]):
        return [does if step.op is not Op.DELETE else "delete"]
    found = differences(step)
    awaits: list[Part] = ["known after the update: ", *listed(step.awaits)] if step.awaits else []
    if step.op is Op.SAME:
        return awaits
    if step.op in (Op.UPDATE, Op.REPLACE) and found:
        parts: list[Part] = [Strong("replaced"), ": "] if step.op is Op.REPLACE else []
        return [*parts, *each(found, most=_MOST), *(["; ", *awaits] if awaits else [])]
    return [step.op.value, " ", Code(step.kind)] if step.op is Op.CREATE else [step.op.value]


_MOST: Final = 6
"""Differences of one resource that a report shows."""


def each(found: Sequence[Difference], *, most: int) -> list[Part]:
    """Return the differences of one resource in words; beyond `most` how many more there are."""
    parts: list[Part] = []
    for index, difference in enumerate(found[:most]):
        parts += ["; " if index else "", Code(difference.path), ": ", *_both(difference)]
    return [*parts, f" and {len(found) - most} more"] if len(found) > most else parts


def _both(difference: Difference) -> list[Part]:
    if difference.before is ABSENT:
        return ["added ", value(difference.after)]
    if difference.after is ABSENT:
        return ["removed ", value(difference.before)]
    return [value(difference.before), " → ", value(difference.after)]
