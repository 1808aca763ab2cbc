"""A report on a terminal: coloured for a person, the same words without colours for a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from delivery.preview.reasons import Verdict
from delivery.preview.report import Report
from delivery.preview.text import Code, Part, Phrase, Strong, count, printable, tally
from delivery.preview.text import listed as some

_STYLES: Final = {
    Verdict.NO_CHANGE: "green",
    Verdict.ROUTINE: "green",
    Verdict.DECIDE: "yellow",
    Verdict.REFUSED: "red",
    Verdict.NOT_COMPUTED: "red",
}
_WIDTH: Final = 120
"""Columns where the output is no terminal."""


def show(report: Report, *, changes: bool = False, stream: TextIO | None = None) -> None:
    """Print the report. `changes` lists every resource with what happens to it."""
    stream = stream or sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)
    style = f"bold {_STYLES[report.verdict]}"
    console.print(
        Text.assemble((f"{printable(report.stack)}: {report.verdict.words}", style), "  ", _text(report.title))
    )
    if report.reasons:
        console.print()
        console.print(_numbered(report))
    if report.fixed:
        console.print()
        console.print("  fixed once created, check these now", style="bold")
        console.print(
            _rows([(one.setting, one.value, one.later) for one in report.fixed], "value", "to change it later")
        )
    if report.rows:
        console.print()
        console.print(_rows([(row.what, row.now, row.after) for row in report.rows], "now", "after"))
    if report.beside is not None and (report.beside.lines or report.beside.error):
        console.print()
        console.print(Padding(_text(report.beside.title(report.stack)), (0, 0, 0, 2)))
        for one in report.beside.shown:
            console.print(Padding(_text(one), (0, 0, 0, 4)))
    console.print()
    for line in _summary(report, listed=changes):
        console.print(Padding(line, (0, 0, 0, 2)))
    if changes and report.changes:
        console.print()
        console.print(_list(report))


def _numbered(report: Report) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="bold", width=4)
    table.add_column(overflow="fold")
    for number, reason in enumerate(report.reasons, start=1):
        text = _text(reason.phrase)
        if reason.remedy:
            text.append("\nrun: ").append(printable(reason.remedy), style="cyan")
        table.add_row(str(number), text)
    return table


def _rows(rows: Sequence[tuple[Part, Phrase, Phrase]], *columns: str) -> Padding:
    table = Table("", *columns, box=None, header_style="dim", pad_edge=False)
    for what, *cells in rows:
        table.add_row(_text([what]), *(_text(cell) for cell in cells))
    return Padding(table, (0, 0, 0, 2))


def _summary(report: Report, *, listed: bool) -> list[Text]:
    lines = []
    if report.unchanged:
        lines.append(_text(["unchanged  ", *report.unchanged]) if report.plan else _text(report.unchanged))
    if report.gates:
        lines.append(_text(["gates      ", *report.gates]))
    if report.changes:
        total = sum(report.counts.values())
        more = "" if listed else "  (--changes lists them)"
        lines.append(Text(f"{count(total, 'change')}: {tally(report.counts)}{more}"))
    if report.unknowns:
        lines.append(Text(report.not_known))
    lines.append(Text(f"plan {report.plan}" if report.plan else "no plan", style="dim"))
    lines.append(Text(f"next: {report.next}"))
    return lines


def _list(report: Report) -> Padding:
    table = Table("resource", "change", box=None, header_style="dim", pad_edge=False)
    for change in report.changes:
        table.add_row(_text(some(change.names, most=4)), _text(change.what))
    return Padding(table, (0, 0, 0, 2))


def _text(phrase: Phrase) -> Text:
    """Our words as they are; nothing of a value is taken for a style, a link or a terminal's command."""
    found = Text()
    for part in phrase:
        match part:
            case Strong(words=words):
                found.append(words, style="bold")
            case Code(value=words):
                found.append(printable(words), style="cyan")
            case _:
                found.append(part)
    return found
