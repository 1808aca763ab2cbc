"""A report as Markdown: of GitHub for a comment or a job's summary, of Azure DevOps for a pull request's thread."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from typing import Final

from delivery.preview.inline import cell, part, rendered
from delivery.preview.reasons import Reason, Verdict
from delivery.preview.report import Report
from delivery.preview.text import Code, Part, Phrase, count, tally

LONGEST_COMMENT: Final = 60_000
"""Characters; GitHub takes 65,536 in a comment. Lists go first where a report is longer, the numbered reasons never."""

_ALERTS: Final = {
    Verdict.NOT_COMPUTED: "CAUTION",
    Verdict.REFUSED: "CAUTION",
    Verdict.DECIDE: "WARNING",
}


class Form(enum.StrEnum):
    """Where the Markdown is read. A summary folds nothing in and leaves nothing out."""

    COMMENT = "comment"
    SUMMARY = "summary"
    AZURE_DEVOPS = "azure-devops"


def marker(stack: str, form: Form = Form.COMMENT) -> str:
    """The line by which a stack's comment is found again; a stack's name has nothing that ends a comment."""
    text = f"mlflow-platform:preview stack={re.sub(r'[^a-z0-9-]', '', stack)}"
    return f"[//]: # ({text})" if form is Form.AZURE_DEVOPS else f"<!-- {text} -->"


def markdown(report: Report, form: Form = Form.COMMENT, *, lists: bool = True) -> str:
    """The report in a form. Where a comment would be too long it loses the list of changes, never a reason."""
    text = _text(report, form, lists=lists)
    return text if form is Form.SUMMARY or len(text) <= LONGEST_COMMENT else _text(report, form, lists=False)


def _text(report: Report, form: Form, *, lists: bool) -> str:
    return "\n".join([*_head(report, form), *body(report, form, lists=lists), *_foot(report, form)]) + "\n"


def _head(report: Report, form: Form) -> Iterator[str]:
    yield marker(report.stack, form)
    yield f"### {part(Code(report.stack))} · {titled(report)}"
    yield ""


def titled(report: Report) -> str:
    """The verdict and the headlines in one line."""
    title = rendered(report.title)
    match report.verdict:
        case Verdict.NO_CHANGE:
            return "no change"
        case Verdict.DECIDE:
            return title
        case _:
            return f"{report.verdict.words}: {title}"


def body(report: Report, form: Form, *, lists: bool) -> Iterator[str]:
    """The lines between title and foot; without `lists` the list of changes is left out."""
    if report.reasons:
        alert = form is not Form.AZURE_DEVOPS
        yield f"> [!{_ALERTS[report.verdict]}]" if alert else f"**{report.verdict.words.upper()}**\n"
        for number, reason in enumerate(report.reasons, start=1):
            yield f"{'> ' if alert else ''}{number}. {_reason(reason)}"
        yield ""
        yield f"**Next:** {report.next}"
        yield ""
    if report.fixed:
        yield "**Fixed once created. Check these now:**"
        yield ""
        yield "| setting | value | to change it later |"
        yield "|---|---|---|"
        yield from (_line(one.setting, one.value, one.later) for one in report.fixed)
        yield ""
    if report.rows:
        yield "| | now | after |"
        yield "|---|---|---|"
        yield from (_line(row.what, row.now, row.after) for row in report.rows)
        yield ""
    if report.gates:
        yield f"**Gates:** {rendered(report.gates)}."
        yield ""
    if report.verdict is Verdict.NO_CHANGE:
        yield f"{count(report.resources, 'resource')} stay as they are. {_sentence(report.unchanged)}"
        yield ""
    elif report.unchanged:
        yield f"**Unchanged:** {rendered(report.unchanged)}." if report.plan else rendered(report.unchanged)
        yield ""
    if report.beside is not None and (report.beside.lines or report.beside.error):
        yield rendered(report.beside.title(report.stack))
        yield ""
        yield from (f"- {rendered(line)}" for line in report.beside.shown)
        yield ""
    if report.changes and lists:
        total = sum(report.counts.values())
        yield from _details(f"{count(total, 'change')}: {tally(report.counts)}", _table(report), form)
        yield ""
    if report.unknowns:
        yield report.not_known
        yield ""


def _table(report: Report) -> Iterator[str]:
    yield "| resource | change |"
    yield "|---|---|"
    for change in report.changes:
        yield f"| {', '.join(cell(Code(name)) for name in change.names)} | {rendered(change.what, table=True)} |"


def _details(summary: str, lines: Iterable[str], form: Form) -> Iterator[str]:
    if form is Form.AZURE_DEVOPS:
        yield from [f"**{summary}**", "", *lines]
        return
    yield f"<details{' open' if form is Form.SUMMARY else ''}><summary><b>{summary}</b></summary>"
    yield ""
    yield from lines
    yield "</details>"


def _foot(report: Report, form: Form) -> Iterator[str]:
    source = report.source
    parts = [f"Plan `{report.plan}`" if report.plan else "No plan"]
    if source.against:
        parts.append(f"against {part(Code(source.against))}")
    if source.head:
        parts.append(f"head {part(Code(source.head))}" + (f" on {part(Code(source.base))}" if source.base else ""))
    if source.offline:
        parts.append("computed offline: names, ids and addresses are made up by a stand-in for Azure")
    text = " · ".join(parts)
    yield text if form is Form.AZURE_DEVOPS else f"<sub>{text}</sub>"


def _reason(reason: Reason) -> str:
    remedy = f"<br>Run: {part(Code(reason.remedy))}" if reason.remedy else ""
    return f"{rendered(reason.phrase)}{remedy}"


def _line(what: Part, *cells: Phrase) -> str:
    return " | ".join([f"| {cell(what)}", *(rendered(one, table=True) for one in cells)]) + " |"


def _sentence(of: Phrase) -> str:
    text = rendered(of)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
