"""What a command prints: tables and colours on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TextIO, cast

# What an agent obeys: Azure Pipelines, "Logging commands", anywhere in a line; GitHub Docs, "Workflow commands", at its
# beginning; a carriage return ends a line too.
_OF_PIPELINES: Final = re.compile(r"##(?=\[|vso\[)", re.IGNORECASE)
_OF_WORKFLOWS: Final = re.compile(r"((?:^|\r)[^\S\n]*):(?=:)", re.MULTILINE)


class Unheard:
    """A stream in which no text is a command of the agent that runs the job: names and messages of others are in it."""

    def __init__(self, stream: TextIO) -> None:
        self.heard = stream

    def write(self, text: str) -> int:
        return self.heard.write(_OF_WORKFLOWS.sub(r"\1: ", _OF_PIPELINES.sub("# #", text)))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.heard, name)


def guard(environ: Mapping[str, str] = os.environ) -> None:
    """Let the agent of a workflow or pipeline hear `command` alone from now on."""
    if environ.get("TF_BUILD") or environ.get("GITHUB_ACTIONS"):
        sys.stdout = cast(TextIO, Unheard(sys.stdout))
        sys.stderr = cast(TextIO, Unheard(sys.stderr))


def open_closed() -> None:
    """Let a stream that the process was started without read and write nothing, before a file gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def command(line: str, stream: TextIO | None = None) -> None:
    """Print a line that the agent obeys; whoever calls it has escaped the values of others."""
    stream = stream or sys.stdout
    say(line, stream.heard if isinstance(stream, Unheard) else stream)


def interactive(stream: TextIO | None = None) -> bool:
    """Whether a person reads the stream (default: stdout) as it is printed."""
    chosen = stream or sys.stdout
    return chosen is not None and chosen.isatty()  # a process may be started without it


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
