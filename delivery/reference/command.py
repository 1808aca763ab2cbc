"""`mlflow-platform reference`: the documents that are written from the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from delivery.outcome import CommandError, ExitCode
from delivery.reference import alerts, capacity, compute, configuration, guardrails, stacks, workflows
from delivery.terminal import say

DOCUMENTS: Final[Mapping[Path, Callable[[], str]]] = {
    alerts.DOCUMENT: alerts.render,
    capacity.DOCUMENT: capacity.render,
    compute.DOCUMENT: compute.render,
    configuration.DOCUMENT: configuration.render,
    guardrails.DOCUMENT: guardrails.render,
    stacks.DOCUMENT: stacks.render,
    workflows.DOCUMENT: workflows.render,
}


def reference(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a document is out of date.")] = False,
) -> int:
    """Write what of docs/ comes from the program: alerts, capacity, configuration, costs, rights, rules, stacks.

    Example: mlflow-platform reference --check
    """
    stale = outdated(DOCUMENTS)
    if check and stale:
        raise CommandError(
            f"{', '.join(map(str, stale))}: out of date; expected what the program says. Run: mlflow-platform reference"
        )
    for path, text in stale.items():
        path.write_text(text)
        say(f"wrote {path}")
    return ExitCode.DONE


def outdated(documents: Mapping[Path, Callable[[], str]]) -> dict[Path, str]:
    """Return the documents that are not what they should be, each with its new text."""
    wanted = {path: render() for path, render in documents.items()}
    return {path: text for path, text in wanted.items() if not path.is_file() or path.read_text() != text}
