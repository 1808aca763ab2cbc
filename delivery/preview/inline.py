"""Phrases as Markdown of GitHub and Azure DevOps: nothing of a value is rendered, linked or notified."""

from __future__ import annotations

import re

from delivery.preview.text import Code, Part, Phrase, Strong, printable


def rendered(of: Phrase, *, table: bool = False) -> str:
    """The parts one after another; `table` says that they stand in a table."""
    return "".join(cell(one) if table else part(one) for one in of)


def cell(of: Part) -> str:
    """A table ends a cell at a pipe, in a code span too."""
    return part(of).replace("|", "\\|")


def part(of: Part) -> str:
    """One part, outside of a table."""
    match of:
        case Code(value=words):
            return code(words)
        case Strong(words=words):
            return f"**{words.strip()}**" + (" " if words.endswith(" ") else "")
        case _:
            return of


def code(words: str) -> str:
    """A code span: nothing in it is rendered, linked or notified. Its fence is longer than the text's own."""
    text = printable(words)
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text else ""
    return f"{fence}{space}{text}{space}{fence}"
