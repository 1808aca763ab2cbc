from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from components.emulators import durable


def test_a_file_is_replaced_whole_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    durable.write(path, b"one")
    durable.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")
    with pytest.raises(TypeError):
        durable.write(path, "text is not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_one, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "count").read_text() == "40"


def test_a_lock_is_free_once_its_holder_was_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    holder = context.Process(target=_hold, args=(tmp_path,))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    holder.kill()
    holder.join()
    with durable.locked(tmp_path / "lock"):
        assert holder.exitcode == -9


def _add_one(folder: Path) -> None:
    count = folder / "count"
    for _ in range(10):
        with durable.locked(folder / "lock"):
            value = int(count.read_text()) if count.exists() else 0
            os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
            count.write_text(str(value + 1))


def _hold(folder: Path) -> None:
    with durable.locked(folder / "lock"):
        (folder / "held").touch()
        time.sleep(600)
