"""A report as annotations of GitHub Actions: each reason beside the line that causes it.

Syntax: GitHub Docs, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from delivery.preview.plan import Plan
from delivery.preview.reasons import Reason, Verdict
from delivery.preview.report import Report
from delivery.preview.text import plain

MOST: Final = 10
"""GitHub shows no more of one step."""

_LEVELS: Final = {Verdict.REFUSED: "error", Verdict.NOT_COMPUTED: "error", Verdict.DECIDE: "warning"}
_SOURCE = re.compile(r"project:///(?P<file>[^#]+)#(?P<line>\d+)")
_SETTING = re.compile(r"^(?P<path>[a-z]\w*(?:\.\w+)*): ")


def lines(report: Report, plan: Plan, stack_file: Path, repository: Path) -> list[str]:
    """One line for each reason, the worst ten."""
    return list(_annotations(report, plan, stack_file, repository))[:MOST]


def _annotations(report: Report, plan: Plan, stack_file: Path, repository: Path) -> Iterator[str]:
    for reason in report.reasons:
        file, line = _place(reason, plan, stack_file, repository)
        place = f"file={_property(file)},line={line}," if file else ""
        title = _property(f"{report.stack}: {reason.headline}")
        text = plain(reason.phrase) + (f" Run: {reason.remedy}" if reason.remedy else "")
        yield f"::{_LEVELS.get(reason.verdict, 'notice')} {place}title={title}::{_message(text)}"


def _place(reason: Reason, plan: Plan, stack_file: Path, repository: Path) -> tuple[str, int]:
    """The line of the setting that a problem names, else that of the program which makes the resource."""
    named = _SETTING.match(plain(reason.phrase))
    if named is not None:
        return str(stack_file.relative_to(repository)), line_of(stack_file, named["path"].split("."))
    step = plan.at(reason.urn)
    found = _SOURCE.search(step.state.source) if step is not None else None
    return (found["file"], int(found["line"])) if found else ("", 0)


def line_of(stack_file: Path, keys: list[str]) -> int:
    """The line of a setting in a stack's file, that of its nearest parent where it is not given, 1 at least."""
    node = yaml.compose(stack_file.read_text())
    line = 1
    for index, key in enumerate(["config", *keys]):
        if not isinstance(node, yaml.MappingNode):
            return line
        wanted = {key, f"mlflow-platform:{key}"} if index == 1 else {key}
        found = next(((name, value) for name, value in node.value if name.value in wanted), None)
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
