"""`mlflow-platform report`: what other jobs computed, as one comment of a pull request or as each stack's issue."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from delivery.outcome import CommandError, ExitCode
from delivery.preview.plan import PlanError
from delivery.preview.reasons import Verdict
from delivery.preview.report import Report
from delivery.preview.report import report as reported
from delivery.preview.saved import load
from delivery.pull_request import azure_devops, drift_issue
from delivery.pull_request.comment import MARKER, comment, thread
from delivery.pull_request.github import GitHub, from_environment
from delivery.terminal import say

MOST_FILES: Final = 50


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With files of `preview --save` or `drift --json`.")],
    pull_request: Annotated[
        int, typer.Option("--pull-request", metavar="NUMBER", help="Write the comment of this pull request.")
    ] = 0,
    head: Annotated[str, typer.Option(metavar="COMMIT", help="The pull request's commit, for the last line.")] = "",
    issues: Annotated[
        bool, typer.Option("--issues", help="The files are of `drift --json`: write each stack's issue.")
    ] = False,
    expect: Annotated[
        list[str] | None, typer.Option(metavar="STACK", help="A stack that has to be among the plans; give each.")
    ] = None,
) -> int:
    """Write saved plans to a pull request as one comment, or drift to issues.

    The files are data: nothing in them is run, rendered or notified. There is one comment for all
    stacks, or one issue for each. Without --pull-request the comment goes to stdout alone. It fails where a plan is
    refused, could not be computed, or is missing.

    Example: mlflow-platform report plans --pull-request 12
    """
    files = _files(folder, least=0 if expect else 1)
    if issues:
        return write_issues(files, from_environment())
    found, unread = _read(files)
    lacking = sorted({*(expect or ())} - {one.stack for one in found})
    unread += [
        f"{stack}: its job has handed over no plan that can be read; the job's log says why" for stack in lacking
    ]
    refused = bool(unread) or any(one.verdict >= Verdict.REFUSED for one in found)
    pipeline = azure_devops.from_environment(os.environ)
    text = thread(found, unread, head) if pipeline else comment(found, unread, head)
    if pull_request and pipeline:
        active = refused or any(one.verdict >= Verdict.DECIDE for one in found)
        say(pipeline.put_thread(pull_request, text, active=active), sys.stderr)
    elif pull_request:
        say(from_environment().put_comment(pull_request, MARKER, text), sys.stderr)
    sys.stdout.write(text)
    sys.stdout.flush()
    return ExitCode.FAILED if refused else ExitCode.DONE


def write_issues(files: Sequence[Path], github: GitHub) -> int:
    """Open, edit or close the issue of each stack; return the exit code."""
    for file in files:
        for one in _drifts(file):
            say(drift_issue.put(github, one, datetime.now(UTC)))
    return ExitCode.DONE


def _files(folder: Path, least: int = 1) -> list[Path]:
    # Azure DevOps puts each job's files into a folder of its own.
    files = sorted([*folder.glob("*.json"), *folder.glob("plan-*/*.json")]) if folder.is_dir() else []
    if not least <= len(files) <= MOST_FILES:
        raise CommandError(
            f"FOLDER: got {folder} with {len(files)} JSON files; expected 1 to {MOST_FILES}, each of "
            "`mlflow-platform preview STACK --save FOLDER/STACK.json`.",
            ExitCode.USAGE,
        )
    return files


def _read(files: Sequence[Path]) -> tuple[list[Report], list[str]]:
    found: list[Report] = []
    unread: list[str] = []
    for file in files:
        try:
            loaded = load(file)
        except PlanError as error:
            unread.append(str(error))
        else:
            found.append(reported(*loaded))
    return found, unread


def _drifts(file: Path) -> list[Mapping[str, Any]]:
    try:
        return drift_issue.read(json.loads(file.read_bytes()))
    except ValueError as error:
        raise CommandError(f"{file.name}: {error} Give the output of `mlflow-platform drift STACK --json`.") from None
