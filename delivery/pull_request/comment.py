"""One comment for a pull request: every stack that changes, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from delivery.preview.inline import cell, code, part
from delivery.preview.markdown import LONGEST_COMMENT, Form, body, markdown, titled
from delivery.preview.reasons import Verdict
from delivery.preview.report import Report
from delivery.preview.text import Code, count

MARKER: Final = "<!-- mlflow-platform:preview -->"
"""The first line, by which the comment is found again."""

_SUMMARY: Final = {
    Verdict.NO_CHANGE: "no stack changes",
    Verdict.ROUTINE: "routine",
    Verdict.DECIDE: "needs a decision",
    Verdict.REFUSED: "refused",
    Verdict.NOT_COMPUTED: "could not be computed",
}
_LEFT_OUT: Final = "The rest is too long for a comment: see the run's summary."


def comment(reports: Sequence[Report], unread: Sequence[str] = (), head: str = "") -> str:
    """The comment's text, at most LONGEST_COMMENT characters.

    `unread` names plans that could not be read, `head` the commit. Where it would be too long the lists of changes go
    first, then whole sections from the end on, and a line says so.
    """
    ordered = sorted(reports, key=lambda one: (-one.verdict, one.stack))
    for lists in (True, False):
        sections = ["\n".join(_section(one, lists=lists)) for one in ordered if one.verdict > Verdict.NO_CHANGE]
        text = _whole(ordered, unread, head, sections)
        if len(text) <= LONGEST_COMMENT:
            return text
    while sections and len(text) > LONGEST_COMMENT:
        sections.pop()
        text = _whole(ordered, unread, head, [*sections, _LEFT_OUT])
    return text


def thread(reports: Sequence[Report], unread: Sequence[str] = (), head: str = "") -> str:
    """The text of the thread on Azure DevOps, whose Markdown folds nothing and has no alerts; as long as a comment."""
    ordered = sorted(reports, key=lambda one: (-one.verdict, one.stack))
    for lists in (True, False):
        sections = [markdown(one, Form.AZURE_DEVOPS, lists=lists) for one in ordered if one.verdict > Verdict.NO_CHANGE]
        names = [f"**{code(name)}**\n" for name in unread]
        lines = [f"## Deployment preview: {_verdict(ordered, unread)}", "", *names, *sections]
        text = "\n".join([*lines, f"Head {part(Code(head))}" if head else ""]).rstrip() + "\n"
        if len(text) <= LONGEST_COMMENT:
            return text
    return text[:LONGEST_COMMENT].rpartition("\n")[0] + f"\n\n{_LEFT_OUT}\n"


def _whole(reports: Sequence[Report], unread: Sequence[str], head: str, sections: Sequence[str]) -> str:
    return "\n".join([*_head(reports, unread), *sections, "", _foot(reports, head)]) + "\n"


def _head(reports: Sequence[Report], unread: Sequence[str]) -> Iterator[str]:
    yield MARKER
    yield f"### Deployment preview: {_verdict(reports, unread)}"
    yield ""
    if reports:
        yield "| stack | on merge | plan |"
        yield "|---|---|---|"
        for one in reports:
            changes = f"{count(sum(one.counts.values()), 'change')}, `{one.plan}`" if one.counts else ""
            yield f"| {cell(Code(one.stack))} | {titled(one)} | {changes} |"
        yield ""
    if unread:
        yield "> [!CAUTION]"
        for name in unread:
            yield f"> {code(name)}"
        yield ""


def _verdict(reports: Sequence[Report], unread: Sequence[str]) -> str:
    if unread or not reports:
        return _SUMMARY[Verdict.NOT_COMPUTED]
    worst = reports[0].verdict
    if worst == Verdict.NO_CHANGE:
        return _SUMMARY[worst]
    names = [part(Code(one.stack)) for one in reports if one.verdict == worst]
    return f"{', '.join(names)} {_SUMMARY[worst]}"


def _section(report: Report, *, lists: bool) -> Iterator[str]:
    shown = " open" if report.verdict > Verdict.ROUTINE else ""
    yield f"<details{shown}><summary><b>{report.stack}</b></summary>"
    yield ""
    yield from body(report, Form.COMMENT, lists=lists)
    yield "</details>"
    yield ""


def _foot(reports: Sequence[Report], head: str) -> str:
    parts = [f"Head {part(Code(head))}"] if head else []
    parts += sorted({f"against {part(Code(one.source.against))}" for one in reports if one.source.against})
    if any(one.source.offline for one in reports):
        parts.append("computed offline: names, ids and addresses are made up by a stand-in for Azure")
    return f"<sub>{' · '.join([*parts, 'a plan is applied as it is shown, or not at all'])}</sub>"
