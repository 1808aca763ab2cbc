"""The cache: a folder is there whole or not at all, whatever happens to its maker."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import cache
from tools.steps import Report, ToolError

REPORT = Report("test")


def nothing(_: Path) -> None:
    """A maker that makes no file."""


def test_what_the_maker_raises_passes_through_and_nothing_stays(tmp_path: Path) -> None:
    def make(staging: Path) -> None:
        (staging / "half").write_text("made")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        cache.ensure(tmp_path / "kind" / "name", make, essential=["half"], report=REPORT)
    assert [path.name for path in (tmp_path / "kind").iterdir()] == [".lock"]


@pytest.mark.parametrize("place", ["/proc/none/kind", "/dev/null/kind"])
def test_a_place_that_cannot_be_made_is_said_with_what_to_do(place: str) -> None:
    with pytest.raises(ToolError, match=rf"^{place}: got .*; expected a folder that can be made .* XDG_CACHE_HOME"):
        cache.ensure(Path(place) / "name", nothing, essential=[], report=REPORT)


def test_a_maker_that_forgets_an_essential_file_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="program"):
        cache.ensure(tmp_path / "name", nothing, essential=["program"], report=REPORT)
    assert not (tmp_path / "name").exists()


def test_a_folder_that_was_not_made_by_the_cache_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "name"
    folder.mkdir()
    (folder / "program").write_text("of unknown origin")

    def make(staging: Path) -> None:
        (staging / "program").write_text("x")

    cache.ensure(folder, make, essential=["program"], report=REPORT)
    assert (folder / "program").read_text() == "x"


def test_only_the_staging_of_dead_processes_is_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for pid in (dead.pid, os.getppid()):
        (tmp_path / f".making-{pid}").mkdir()
    cache.ensure(tmp_path / "name", nothing, essential=[], report=REPORT)
    assert {path.name for path in tmp_path.glob(".making-*")} == {f".making-{os.getppid()}"}


def test_the_staging_of_a_dead_process_with_this_pid_stops_nothing(tmp_path: Path) -> None:
    left = tmp_path / f".making-{os.getpid()}"
    left.mkdir()
    (left / "half").write_text("of the dead process")
    made = cache.ensure(tmp_path / "name", nothing, essential=[], report=REPORT)
    assert [path.name for path in made.iterdir()] == ["complete.json"]


def test_two_makers_at_once_make_it_once(tmp_path: Path) -> None:
    makes, second_waits, made = threading.Event(), threading.Event(), []

    def make(staging: Path) -> None:
        made.append(staging)
        makes.set()
        assert second_waits.wait(60)
        (staging / "program").write_text("x")

    def ensure(report: Callable[[str], None]) -> Path:
        return cache.ensure(tmp_path / "name", make, essential=["program"], report=report)  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ensure, REPORT)
        assert makes.wait(60)
        second = threads.submit(ensure, lambda _: second_waits.set())
        assert first.result(60) == second.result(60) == tmp_path / "name"
    assert len(made) == 1


def test_the_lock_keeps_others_out_and_a_dead_holder_does_not(tmp_path: Path) -> None:
    holder = (
        "import fcntl, os, signal, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()

        def release(text: str) -> None:
            """Called by the lock when it has to wait, which is when the holder may go."""
            said.append(text)
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        said: list[str] = []
        with cache.lock(tmp_path / "lock", release):  # type: ignore[arg-type]
            assert process.wait() != 0
            with (tmp_path / "lock").open("a") as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(said) == 1
    assert said[0].startswith("waiting for process ")


@pytest.mark.parametrize("given_value", ["", "relative/path"])
def test_a_cache_home_that_is_not_absolute_is_ignored(monkeypatch: pytest.MonkeyPatch, given_value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given_value)
    monkeypatch.setenv("HOME", "/somewhere")
    assert cache.root() == Path("/somewhere/.cache/mlflow-platform")


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_different_parts_have_different_digests(one: list[bytes], other: list[bytes]) -> None:
    assert (cache.digest(one) == cache.digest(other)) == (one == other)
