"""The checks of a stack for a person, and as one JSON document."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from delivery.doctor.checks import Check, Finding, Result
from delivery.outcome import ExitCode
from delivery.preview.text import printable

VERSION: Final = 1
"""Of the document's shape; it rises when a key changes its meaning or goes away."""

_STYLES: Final = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.FAILED: "red",
    Result.NOT_CHECKED: "dim",
}
_WIDTH: Final = 120
"""Columns where the output is no terminal."""

Made = Sequence[tuple[Check, Finding]]


def exit_code(made: Made) -> ExitCode:
    """Failed if a check failed. A warning, or what could not be checked, is no failure."""
    return ExitCode.FAILED if any(found.result is Result.FAILED for _, found in made) else ExitCode.DONE


def document(stack: str, command: str, made: Made) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "version": VERSION,
        "stack": stack,
        "command": command or None,
        "passed": exit_code(made) is ExitCode.DONE,
        "checks": [
            {
                "name": check.name,
                "result": found.result.value,
                "what": found.what,
                "why": check.why,
                "remedies": list(found.remedies),
            }
            for check, found in made
        ],
    }


def show(stack: str, made: Made, stream: TextIO | None = None) -> None:
    """Print each check with its result, and below one that is not well why it matters and what fixes it."""
    stream = stream or sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _WIDTH)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check, found in made:
        text = Text(printable(found.what))
        if found.result in (Result.WARNING, Result.FAILED):
            text.append(f"\nwhy: {check.why}", style="dim")
        for remedy in found.remedies:
            text.append("\nrun: ").append(printable(remedy), style="cyan")
        table.add_row(Text(found.result.value, style=_STYLES[found.result]), check.name, text)
    console.print(table)
    counts = Counter(found.result for _, found in made)
    said = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
    console.print(f"{printable(stack)}: {said}", style="bold", markup=False)
