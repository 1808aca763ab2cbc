"""What a command prints: tables and colours on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO


def interactive(stream: TextIO | None = None) -> bool:
    """Whether a person reads the stream (default: stdout) as it is printed."""
    return (stream or sys.stdout).isatty()


def say(line: str, stream: TextIO | None = None) -> None:
    """Print a line at once."""
    print(line, file=stream or sys.stdout, flush=True)


def step(line: str) -> None:
    """Print what a long command does next; on a terminal it stands out from the output around it."""
    if not interactive():
        say(line)
        return
    from rich.console import Console

    Console(highlight=False).print(f"▶ {line}", style="bold cyan", markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Print a table for a person. `styles` has one style a row; none means plain."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for index, row in enumerate(rows):
        drawn.add_row(*(Text(cell) for cell in row), style=styles[index] if styles else None)
    Console(highlight=False).print(drawn)


def confirmed(question: str, stream: TextIO | None = None) -> bool:
    """Ask a person on the terminal. The caller has checked that stdin is one."""
    out = stream or sys.stdout
    out.write(f"{question} [y/N] ")
    out.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def leave_closed_pipe() -> None:
    """After a reader closed the pipe, keep the interpreter from complaining when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
