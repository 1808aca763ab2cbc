"""A stack's drift for readers: lines for a terminal, Markdown for an issue, a document for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from delivery.drift.activity import last_change
from delivery.drift.keep import Keep
from delivery.drift.lines import Drift, LastChange, Line
from delivery.drift.ways_out import WaysOut
from delivery.preview.findings.network import RULES, allowed
from delivery.preview.inline import cell, rendered
from delivery.preview.text import Code, Part, Phrase, Strong, count, plain, printable, value

VERSION: Final = 1
"""Of the document's shape; it rises when a key changes its meaning or goes away."""

_DOLLAR: Final = 1
"""What changes a month's cost by less is not shown."""


def document(drift: Drift, out: Sequence[WaysOut]) -> dict[str, Any]:
    """The whole drift, with the ways out of each line."""
    return {
        "version": VERSION,
        "stack": drift.stack,
        "blocks": drift.blocks,
        "title": plain(_title(drift)),
        "issue": issue(drift, out),
        "lines": [_line(line, ways) for line, ways in zip(drift.lines, out, strict=True)],
        "activityLogUnread": drift.unread or None,
        "passed": [
            {"resource": one.resource, "path": one.path, "reason": one.rule.reason, "source": one.rule.source}
            for one in drift.passed
        ],
    }


def issue(drift: Drift, out: Sequence[WaysOut]) -> str:
    """The body of the stack's issue: what differs, and both ways out of each line."""
    return "\n".join(_issue(drift, out)) + "\n"


def text(drift: Drift, out: Sequence[WaysOut]) -> str:
    """The same for a terminal."""
    return "\n".join(_text(drift, out))


def _title(drift: Drift) -> Phrase:
    if not drift.lines:
        return ["No drift in ", Code(drift.stack)]
    number = count(len(drift.lines), "resource")
    return ["Drift in ", Code(drift.stack), f": {number} {'differs' if len(drift.lines) == 1 else 'differ'}"]


def _blocked(drift: Drift) -> str:
    numbers = [str(number) for number, line in enumerate(drift.lines, start=1) if line.blocks]
    stand = f"line {numbers[0]} stands" if len(numbers) == 1 else f"lines {', '.join(numbers)} stand"
    return f"Updates of the stack wait while {stand}: data or security is at stake."


def _issue(drift: Drift, out: Sequence[WaysOut]) -> Iterator[str]:
    yield f"### {rendered(_title(drift))}"
    yield ""
    if not drift.lines:
        yield "Azure is as the program made it."
        return
    if drift.blocks:
        yield _blocked(drift)
        yield ""
    yield "| | resource | property | program | Azure |"
    yield "|--:|---|---|---|---|"
    for number, line in enumerate(drift.lines, start=1):
        for index, (path, program, azure) in enumerate(_rows(line)):
            first = [str(number), cell(Code(line.step.name))] if index == 0 else ["", ""]
            yield f"| {' | '.join([*first, cell(path), *(rendered(one, table=True) for one in (program, azure))])} |"
    yield ""
    yield "**Decide per line:** make Azure what the program says, or the program what Azure has."
    yield ""
    yield "| | last changed | revert | keep |"
    yield "|--:|---|---|---|"
    for number, (line, ways) in enumerate(zip(drift.lines, out, strict=True), start=1):
        kept = rendered(_kept(line, ways.keep), table=True)
        who = rendered(last_change(line, drift.unread), table=True)
        yield f"| {number} | {who} | {cell(Code(ways.revert))} | {kept} |"
    if drift.unread:
        yield ""
        yield f"Azure's activity log could not be read: {rendered([Code(drift.unread)])}"
    if drift.passed:
        yield ""
        yield f"Azure itself writes {count(len(drift.passed), 'difference')} more, which nobody has to decide on."


def _text(drift: Drift, out: Sequence[WaysOut]) -> Iterator[str]:
    yield plain(_title(drift))
    if drift.blocks:
        yield _blocked(drift)
    for number, (line, ways) in enumerate(zip(drift.lines, out, strict=True), start=1):
        yield ""
        yield f"{number}. {plain([Code(line.step.name)])}"
        for path, program, azure in _rows(line):
            yield f"   {plain([path])}: {plain(program)} → {plain(azure)}"
        yield f"   last changed: {plain(last_change(line, drift.unread))}"
        yield f"   revert: {ways.revert}"
        yield f"   keep: {plain(_kept(line, ways.keep))}"
    if drift.unread:
        yield ""
        yield f"Azure's activity log could not be read: {plain([Code(drift.unread)])}"
    for one in drift.passed:
        yield f"passed: {plain([Code(one.resource)])} {plain([Code(one.path)])}: {one.rule.reason}"


def _rows(line: Line) -> list[tuple[Part, Phrase, Phrase]]:
    """Path, the program's value and Azure's; what it means stands behind the first."""
    rows: list[tuple[Part, Phrase, Phrase]] = [
        (Code(one.path), _value(line, one.before), _value(line, one.after)) for one in line.differences
    ]
    if line.gone:
        rows = [("the resource", ["exists"], [Strong("deleted")])]
    meaning: list[Part] = [part for word in line.dangers for part in (": ", Strong(word))]
    if abs(line.usd) >= _DOLLAR:
        meaning.append(f" ({line.usd:+,.0f} USD a month)")
    path, program, azure = rows[0]
    return [(path, program, [*azure, *meaning]), *rows[1:]]


def _value(line: Line, of: Any) -> Phrase:
    """A rule of a network is said as in the report of a change, not as an object."""
    return allowed(of) if line.step.kind == RULES and isinstance(of, Mapping) else [value(of)]


def _kept(line: Line, keep: Keep | None) -> Phrase:
    if keep is None and line.gone:
        return ["take it out of the program"]
    if keep is None:
        return ["no setting makes it" if line.blocks else "no setting makes it: change the program"]
    commands: list[Part] = []
    for command in keep.commands:
        commands += [" then ", Code(command)] if commands else [Code(command)]
    if not keep.refused:
        return commands
    why = "; ".join(f"{one.field}: {one.allowed}" for one in keep.refused)
    return ["not possible: ", Code(why)]


def _line(line: Line, out: WaysOut) -> dict[str, Any]:
    kept = out.keep
    return {
        "resource": line.step.name,
        "urn": line.step.urn,
        "deleted": line.gone,
        "differences": [
            {"path": one.path, "program": plain([value(one.before)]), "azure": plain([value(one.after)])}
            for one in line.differences
        ],
        "dangers": list(line.dangers),
        "blocks": line.blocks,
        "usdPerMonth": round(line.usd, 2),
        "lastChange": _changed(line.last),
        "revert": out.revert,
        "keep": list(kept.commands) if kept and not kept.refused else None,
        "keepRefused": [f"{one.field}: {one.allowed}" for one in kept.refused] if kept else [],
    }


def _changed(last: LastChange | None) -> dict[str, str] | None:
    if last is None:
        return None
    return {"caller": printable(last.caller), "operation": printable(last.operation), "at": last.at.isoformat()}
