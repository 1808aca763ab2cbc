"""One command on a stack at a time, and none blocked by a lock whose holder is dead."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock, Timeout

from delivery.outcome import CommandError, ExitCode

LOCK: Final = "update.lock"


class StackBusyError(CommandError):
    """Another command works on the stack."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.BUSY)


@contextmanager
def exclusive(folder: Path, *, state: Path) -> Iterator[None]:
    """Hold the lock of a stack that lives in `folder` (made if missing), and clear what dead engines left in `state`.

    Raises StackBusyError at once if another command holds it. The file stays, and names the holder while it is held.
    """
    with held(folder / LOCK, holder=f"pid {os.getpid()}, since {time.strftime('%H:%M:%S')}"):
        clear_dead(state)
        yield


@contextmanager
def held(path: Path, *, holder: str, what: str = "this stack") -> Iterator[None]:
    """Hold an OS lock on a file (made if missing), which is free again when this process dies.

    The file stays, and names the holder while it is held. Raises StackBusyError at once if another one holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise busy(what, path.read_text()) from None
    try:
        path.write_text(holder)
        yield
    finally:
        path.write_text("")
        lock.release()


def busy(what: str, holder: str) -> StackBusyError:
    """The refusal while another command holds the lock of a stack."""
    return StackBusyError(
        f"Another command works on {what} ({holder.strip() or 'just started'}). "
        "Wait until it has ended, then run this one again."
    )


def clear_dead(state: Path) -> None:
    """Remove what killed engines left in a file backend.

    A lock whose process is gone protects nothing. Metadata that was cut off hides a whole state; without it the engine
    reads the state (it writes none with `installation.file_url`).
    """
    for path in (state / ".pulumi" / "locks").rglob("*.json"):
        holder = _holder(path)
        if holder is not None and not is_engine(holder):
            path.unlink(missing_ok=True)

    for path in (state / ".pulumi").rglob("*.attrs"):
        if not _is_json(path):
            path.unlink(missing_ok=True)


def is_engine(pid: int) -> bool:
    """Whether the pid is a living engine's. A killed engine may be a zombie, and its pid may belong to a newcomer."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except psutil.NoSuchProcess:
        return False


def living(lock: str) -> int | None:
    """Return the pid of an engine on this machine that holds a lock, from the engine's own words on the lock.

    None for an engine that is dead, or one on another machine.
    """
    holders = re.findall(r"@(\S+) \(pid (\d+)\)", lock)
    return next((int(pid) for host, pid in holders if host == socket.gethostname() and is_engine(int(pid))), None)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def _holder(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None
