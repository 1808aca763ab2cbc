"""`up --approved` that is killed at each of its calls of the engine and of git, before and after it: run again, it ends
right.

An engine of a few lines stands in, which answers as the real one does and counts what it applies. What the real one
does when it dies is in test_interrupted.py.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from delivery.apply import approved
from delivery.apply.command import Form
from delivery.outcome import CommandError
from delivery.preview.plan import read
from delivery.preview.report import report
from delivery.recover.engine import Engine
from tests.delivery.promote.promoting import git
from tests.support.previews import STACK, preview, same, step
from tools.pulumi.kinds import pinned_version

PATIENCE_SECONDS: Final = 120
ACCOUNT: Final = "storage:StorageAccount"
CHANGE: Final = preview(step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}))
NOTHING: Final = preview(same(ACCOUNT, "store"))

# Stands for `pulumi`, and before `git`. It kills who calls it at one of the calls, before or after the work is done.
COUNTED: Final = """\
#!/bin/sh
echo "$(basename "$0") $*" >> "$WORLD/calls"
number=$(wc -l < "$WORLD/calls")
if [ "$KILLED_AT" = "$number before" ]; then kill -KILL $PPID; exit 1; fi
"""
ENDS: Final = """\
code=$?
if [ "$KILLED_AT" = "$number after" ]; then kill -KILL $PPID; fi
exit $code
"""
ENGINE: Final = """\
quoted() { sed 's/"/\\\\"/g' "$1"; }
case "$1 $2" in
    "whoami --json") echo "{\\"url\\": \\"file://$WORLD/state\\"}" ;;
    "version "*) echo "v$VERSION" ;;
    "stack export") echo '{"deployment": {"resources": []}}' ;;
    "stack rename") echo "error: stack 'prod' already exists" >&2; false ;;
    "refresh "*) cat "$WORLD/nothing.json" ;;
    "preview "*)
        if [ -e "$WORLD/message" ]; then cat "$WORLD/nothing.json"; else cat "$WORLD/change.json"; fi
        while [ "$1" != --save-plan ]; do shift; done
        echo "{}" > "$2" ;;
    "up "*)
        echo "$*" >> "$WORLD/ups"
        while [ "$1" != --message ]; do shift; done
        printf %s "$2" > "$WORLD/message" ;;
    "stack output") echo "error: no output" >&2; false ;;
    "stack history")
        if [ -e "$WORLD/message" ]; then
            echo "[{\\"kind\\": \\"update\\", \\"result\\": \\"succeeded\\", \\"startTime\\": \\"ten\\","
            echo "\\"endTime\\": \\"eleven\\", \\"message\\": \\"$(quoted "$WORLD/message")\\"}]"
        else echo "[]"; fi ;;
    "stack tag")
        if [ "$3" = set ]; then printf %s "$5" > "$WORLD/tag"
        elif [ -e "$WORLD/tag" ]; then echo "{\\"mlflow-platform:smoke\\": \\"$(quoted "$WORLD/tag")\\"}"
        else echo "{}"; fi ;;
    *) echo "no such call: $*" >&2; exit 99 ;;
esac
"""


@dataclass(frozen=True)
class World:
    """A repository, and all that the engine of the test knows in a folder."""

    folder: Path
    repository: Path

    def up(self, killed_at: str = "") -> tuple[int | None, dict[str, Any]]:
        """Run the command in a process of its own; return its exit code, negative for a signal, and its document.

        The process is a copy of this one, which has imported everything already.
        """
        out = self.folder / "out"
        process = multiprocessing.get_context("fork").Process(target=self._up, args=(killed_at, out))
        process.start()
        process.join(PATIENCE_SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
        return code, json.loads(out.read_text() or "{}")

    def _up(self, killed_at: str, out: Path) -> None:
        variables = {
            "PATH": f"{self.folder / 'programs'}{os.pathsep}{os.environ['PATH']}",
            "WORLD": str(self.folder),
            "VERSION": pinned_version(),
            "KILLED_AT": killed_at,
        }
        os.environ.update(variables)
        tempfile.tempdir = str(self.folder / "temporary")
        engine = Engine(stack=STACK, config_file=None, environment=dict(os.environ), repository=self.repository)
        plan = report(read(CHANGE)).plan
        code = 1
        with (
            out.open("w", buffering=1) as said,
            (self.folder / "notices").open("w", buffering=1) as notices,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(notices),
        ):
            try:
                code = approved.run(engine, plan, Form.JSON, smoke=True, url="", drift=approved.look_for_drift)
            except CommandError as error:
                code = error.code
                notices.write(str(error))
        os._exit(code)

    def again(self) -> None:
        """Forget what was applied, and every call."""
        for name in ("calls", "ups", "message", "tag"):
            (self.folder / name).unlink(missing_ok=True)

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    repository, programs = tmp_path / "repository", tmp_path / "programs"
    for folder in (repository, programs, tmp_path / "state", tmp_path / "temporary"):
        folder.mkdir()
    (tmp_path / "change.json").write_text(json.dumps(CHANGE))
    (tmp_path / "nothing.json").write_text(json.dumps(NOTHING))
    for name, does in (("pulumi", ENGINE), ("git", f'{shutil.which("git")} "$@"\n')):
        (programs / name).write_text(COUNTED + does + ENDS)
        (programs / name).chmod(0o755)
    (repository / "Pulumi.yaml").write_text("name: mlflow-platform\nruntime: python\n")
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=one")
    return World(tmp_path, repository)


def test_it_is_applied_once_whatever_call_it_is_killed_at(world: World) -> None:
    code, document = world.up()
    assert (code, document["result"]) == (0, "applied"), world.lines("calls")
    calls = world.lines("calls")
    programs = {" ".join(line.split()[:2]) for line in calls}
    assert programs >= {f"pulumi {word}" for word in ("whoami", "version", "stack", "refresh", "preview", "up")}
    assert any(program.startswith("git ") for program in programs)
    for number in range(1, len(calls) + 1):
        for when in ("before", "after"):
            world.again()
            where = f"{when} {calls[number - 1]}"
            assert world.up(f"{number} {when}")[0] == -signal.SIGKILL, where
            code, document = world.up()
            assert (code, document["result"]) == (0, "applied"), where
            assert len(world.lines("ups")) == 1, where
            noted = json.loads((world.folder / "tag").read_text())
            assert (noted["started"], noted["result"]) == ("ten", "not run"), where
            assert list((world.folder / "temporary").iterdir()) == [], where
