"""An `up` that is ended in the middle: with Ctrl-C, by SIGTERM, and killed at each call that it makes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from delivery.apply import record
from delivery.outcome import ExitCode
from delivery.pulumi.installation import REPOSITORY
from delivery.recover.recovery import look, recover
from tests.delivery.apply.stack import Stack, made
from tests.delivery.offline_azure import stub_repository
from tests.support import warm
from tests.support.waiting import until

SECONDS = 120

# Stands for the engine on PATH, and kills who called it after one of its commands.
KILLER = """\
#!/bin/sh
PATH="$ENGINES_PATH"
if [ "$KILL_AFTER" = "$1" ] || [ "$KILL_AFTER" = "$1 $2" ]; then
    pulumi "$@" && kill -9 "$PPID"
    exit
fi
exec pulumi "$@"
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with made(tmp_path, stub_repository.written(tmp_path)) as stack:
        (tmp_path / "killer").mkdir()
        killer = tmp_path / "killer" / "pulumi"
        killer.write_text(KILLER)
        killer.chmod(0o755)
        stack.product.environment.update(
            TMPDIR=str(tmp_path / "temporary"),
            XDG_STATE_HOME=str(tmp_path / "kept"),
            ARM_SUBSCRIPTION_ID="00000000-0000-0000-0000-00000000cafe",
        )
        yield stack


def begun(stack: Stack, plan: str, kill_after: str = "") -> subprocess.Popen[str]:
    path = stack.product.environment["PATH"]
    killer = {"KILL_AFTER": kill_after, "ENGINES_PATH": path, "PATH": f"{stack.product.folder / 'killer'}:{path}"}
    environment = {**stack.product.environment, **(killer if kill_after else {})}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.delivery.apply.process", str(stack.repository), plan],
        cwd=REPOSITORY,
        env={**environment, **warm.COLD},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=SECONDS)
    return child.returncode, out, err


def comes(child: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    def there() -> bool:
        assert child.poll() is None, child.communicate()
        return when()

    until(there, "what the command is to be ended in", SECONDS)


def kill_all(child: subprocess.Popen[str]) -> None:
    """Kill the command, the engine and its plugins at once."""
    process = psutil.Process(child.pid)
    process.suspend()
    every = [process, *process.children(recursive=True)]
    for one in every:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    child.communicate()
    psutil.wait_procs(every, timeout=SECONDS)


def plans(stack: Stack) -> list[str]:
    return [path.name for path in (stack.product.folder / "temporary").iterdir() if "plan" in path.name]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_is_ended_finishes_what_is_under_way_and_leaves_nothing_to_recover(
    stack: Stack, number: signal.Signals, code: int
) -> None:
    stack.azure.inject("slow", operation="create", matching="/resourceGroups/")
    with begun(stack, stack.preview().plan) as child:
        comes(child, lambda: bool(stack.azure.resources))
        # A terminal sends it to the engine too, which a test's process group stands for.
        os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
        stack.azure.clear_faults()
        found, _, err = ended(child)
    assert found == code, err
    if number == signal.SIGINT:
        assert "Interrupted: what was done is in the state" in err
    assert plans(stack) == []
    assert look(stack.engine).nothing
    left = stack.preview()
    assert left.counts == {}
    assert stack.up(left.plan).code == ExitCode.DONE, "the lease is free"


def test_one_that_is_killed_at_any_call_is_brought_back_and_ends_right(stack: Stack) -> None:
    plan = stack.preview().plan
    for call in ("whoami", "stack export", "preview"):
        with begun(stack, plan, call) as child:
            assert ended(child)[0] == -signal.SIGKILL, call
        assert stack.writes == [], call
    assert len(plans(stack)) == 1, "the plan that a killed one cannot remove"

    stack.azure.inject("slow", operation="create", matching="/resourceGroups/")
    with begun(stack, plan) as child:
        comes(child, lambda: bool(stack.azure.resources))
        kill_all(child)
    stack.azure.clear_faults()
    refused = stack.up(plan)
    assert refused.error.endswith("Run: mlflow-platform recover dev"), refused
    assert recover(stack.engine, look(stack.engine)).complete
    changed = stack.up(plan)
    assert changed.document["reason"] == "the plan changed after its approval"

    stack.configure(tags={"owner": "research"})
    left = stack.preview().plan
    with begun(stack, left, "up") as child:
        assert ended(child)[0] == -signal.SIGKILL
    killed = record.last(stack.engine.pulumi)
    assert killed is not None
    assert (killed.record.plan, killed.newest, killed.smoke) == (left, True, None)
    again = stack.up(left)
    assert (again.code, again.document["result"]) == (ExitCode.DONE, "applied")
    assert [call["operation"] for call in stack.writes] == ["create", "update"]
    applied = record.last(stack.engine.pulumi)
    assert applied is not None
    assert (applied.record, applied.started) == (killed.record, killed.started)
    assert applied.smoke is not None
    assert plans(stack) == []
