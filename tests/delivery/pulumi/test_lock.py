"""One command on a stack at a time, and none blocked by what a dead holder left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.outcome import ExitCode
from delivery.pulumi.engine import Engine, EngineError
from delivery.pulumi.installation import REPOSITORY, file_backend, state_file
from delivery.pulumi.lock import LOCK, StackBusyError, clear_dead, exclusive, is_engine, living


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it is ended."""
    line = (
        "import pathlib, signal; from delivery.pulumi.lock import exclusive\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "with exclusive(folder, state=folder / 'state'):\n    print('held', flush=True)\n    signal.pause()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", line], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_command_is_refused_with_the_holder_and_a_killed_holder_blocks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with hold(folder) as holder:
        try:
            with (
                pytest.raises(StackBusyError, match=rf"works on this stack \(pid {holder.pid}, ") as busy,
                exclusive(folder, state=folder / "state"),
            ):
                pass
            assert busy.value.code == ExitCode.BUSY
        finally:
            holder.send_signal(signal.SIGKILL)
    with exclusive(folder, state=folder / "state"):
        assert (folder / LOCK).read_text().startswith(f"pid {os.getpid()}, since ")
    assert (folder / LOCK).read_text() == ""
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path, state=tmp_path):
        raise ZeroDivisionError
    with exclusive(tmp_path, state=tmp_path):
        assert (tmp_path / LOCK).read_text() != ""


def lock_of(state: Path, pid: int) -> Path:
    path = state / ".pulumi" / "locks" / "organization" / f"{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": pid, "username": "a", "hostname": "b"}))
    return path


def test_only_locks_of_dead_engines_are_taken_off(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as engine:
        try:
            alive, newcomer = lock_of(tmp_path, engine.pid), lock_of(tmp_path, os.getpid())
            unreadable = alive.with_name("half.json")
            unreadable.write_text("{")
            clear_dead(tmp_path)
            assert (alive.exists(), newcomer.exists(), unreadable.exists()) == (True, False, True)
            assert living(f"a@{socket.gethostname()} (pid {engine.pid}) at 1") == engine.pid
            assert living(f"a@elsewhere (pid {engine.pid}) at 1") is None
        finally:
            engine.kill()
        # Killed, and not reaped yet.
        os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)
        assert not is_engine(engine.pid)
        with exclusive(tmp_path / "stack", state=tmp_path):
            assert not alive.exists(), "a command looks for them first"
    assert not is_engine(engine.pid)


def test_metadata_that_a_killed_engine_has_cut_off_hides_no_state(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: yaml\n")
    state = tmp_path / "state"
    state.mkdir()
    environment = {**os.environ, **file_backend(home=tmp_path / "home", state=state)}
    ours = Engine(folder=tmp_path, environment=environment, options=("--stack", "dev"))
    ours.must("stack", "init", "--no-select")
    assert [*state.rglob("*.attrs")] == []

    plain = {**environment, "PULUMI_BACKEND_URL": f"file://{state}"}
    other = Engine(folder=tmp_path, environment=plain, options=("--stack", "other"))
    other.must("stack", "init", "--no-select")
    whole, cut = (Path(f"{state_file(state, 'p', 'other')}{end}.attrs") for end in (".bak", ""))
    assert whole.stat().st_size > 0
    cut.write_text("")
    with pytest.raises(EngineError, match="EOF"):
        other.must("stack", "export")
    with exclusive(tmp_path / "stack", state=state):
        assert (whole.exists(), cut.exists()) == (True, False)
        other.must("stack", "export")
