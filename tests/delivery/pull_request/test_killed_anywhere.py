"""`report` that is killed at each of its calls of GitHub, before and after it: run again, there is one comment, and one
issue a stack.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Any, Final

import pytest

from delivery.outcome import CommandError
from delivery.preview.report import Source
from delivery.preview.saved import save
from delivery.pull_request import command, drift_issue
from delivery.pull_request.comment import MARKER
from tests.delivery.pull_request.github_stand_in import Stored, github
from tests.support.previews import STACK, preview, step

PATIENCE_SECONDS: Final = 60
NUMBER: Final = 7
PLAN: Final = preview(step("update", "storage:StorageAccount", "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}))


def drifts(*lines: str) -> list[dict[str, Any]]:
    """The document of a stack that drifts, and of one that no longer does."""
    return [
        {"version": 1, "stack": stack, "title": f"Drift in {stack}", "issue": "a table", "lines": found}
        for stack, found in (("prod", [*lines]), ("dev", []))
    ]


def written(folder: Path, *, issues: bool) -> Path:
    folder.mkdir()
    if issues:
        (folder / "drift.json").write_text(json.dumps(drifts("a line")))
    else:
        save(folder / f"{STACK}.json", STACK, PLAN, "", Source())
    return folder


def ended(folder: Path, variables: dict[str, str], stored: Stored, killed_at: str = "", *, issues: bool) -> int | None:
    """Run the command in a copy of this process; return its exit code, negative for a signal."""

    def run() -> None:
        os.environ.update(variables)
        try:
            code = command.report(folder, pull_request=0 if issues else NUMBER, head="", issues=issues)
        except CommandError:
            code = 99
        os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=run)
    gone = threading.Event()
    stored.calls.clear()

    def watch(when: str) -> None:
        if killed_at == f"{len(stored.calls)} {when}" and process.pid:
            os.kill(process.pid, signal.SIGKILL)
            # One thread alone may wait for the process itself: the system tells its end once.
            gone.wait(PATIENCE_SECONDS)

    stored.watch = watch
    process.start()
    process.join(PATIENCE_SECONDS)
    gone.set()
    return process.exitcode


@pytest.mark.parametrize("issues", [False, True], ids=["comment", "issues"])
def test_a_report_is_written_once_whatever_call_it_is_killed_at(
    issues: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "files", issues=issues)
    made = _calls(folder, issues=issues)
    assert {call.split()[0] for call in made} == ({"GET", "POST", "PATCH"} if issues else {"GET", "POST"})
    for number in range(1, len(made) + 1):
        for when in ("before", "after"):
            with github() as (client, stored):
                _as_found(stored, issues=issues)
                variables = _variables(client)
                where = f"{when} {made[number - 1]}"
                assert ended(folder, variables, stored, f"{number} {when}", issues=issues) == -signal.SIGKILL, where
                assert ended(folder, variables, stored, issues=issues) == 0, where
                _whole(stored, issues=issues, where=where)


def _calls(folder: Path, *, issues: bool) -> list[str]:
    with github() as (client, stored):
        _as_found(stored, issues=issues)
        assert ended(folder, _variables(client), stored, issues=issues) == 0
        return [*stored.calls]


def _variables(client: Any) -> dict[str, str]:
    return {"GITHUB_REPOSITORY": client.repository, "GITHUB_TOKEN": client.token, "GITHUB_API_URL": client.api}


def _as_found(stored: Stored, *, issues: bool) -> None:
    """What the repository has before: a person's comment, and the issue of a stack that no longer drifts."""
    if issues:
        stored.add_issue("Drift in dev", f"{drift_issue.marker('dev')}\nFirst seen", [drift_issue.LABEL])
    else:
        stored.add_comment(NUMBER, f"{MARKER}\nnot the bot", author="ada")


def _whole(stored: Stored, *, issues: bool, where: str) -> None:
    if not issues:
        (_, ours) = stored.comments[NUMBER]
        assert ours["body"].startswith(MARKER), where
        return
    found = [(one["title"], one["state"]) for one in stored.issues]
    assert found == [("Drift in dev", "closed"), ("Drift in prod", "open")], where
