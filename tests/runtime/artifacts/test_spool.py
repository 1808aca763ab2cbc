"""Room on the spool disk, and what a process says of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mlflow_runtime.artifacts import spool
from mlflow_runtime.artifacts.spool import Spool

MIB = 1 << 20


def written(folder: Path, mib: int, name: str = "passing") -> Path:
    file = folder / "below" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"x" * mib * MIB)
    return file


def test_a_file_has_its_room_before_its_first_byte(tmp_path: Path) -> None:
    disk = Spool(tmp_path, 4 * MIB)
    with disk.room(3 * MIB):
        # Nothing is written yet, and nobody else gets it.
        with pytest.raises(OSError, match="No space left") as full, disk.room(2 * MIB):
            pass
        assert full.value.errno == errno.ENOSPC
    passing = written(tmp_path, 3)
    with pytest.raises(OSError, match="No space left"), disk.room(2 * MIB):
        pass
    passing.unlink()
    with disk.room(4 * MIB):
        pass


def test_a_file_that_failed_leaves_its_room(tmp_path: Path) -> None:
    disk = Spool(tmp_path, MIB)
    for _ in range(3):
        with pytest.raises(ConnectionError), disk.room(MIB):
            raise ConnectionError


def test_what_is_used_is_of_the_limit_and_not_of_the_disk(tmp_path: Path) -> None:
    """Else no alert would see that a pod's volume is nearly full: its node's disk is not."""
    written(tmp_path, 3)
    assert Spool(tmp_path, 4 * MIB).usage() == (3 * MIB, MIB)
    assert Spool(tmp_path, 2 * MIB).usage() == (3 * MIB, 0)


def test_a_process_has_the_room_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(spool.VARIABLE, "0")
    with pytest.raises(OSError, match="No space left"), spool.room(1):
        pass
    monkeypatch.setenv(spool.VARIABLE, "1")
    assert spool.usage() == (0, MIB)
    monkeypatch.delenv("TMPDIR")
    with spool.room(1 << 60):  # a disk of no own: its end is met while writing
        pass
    assert spool.usage().free > MIB
