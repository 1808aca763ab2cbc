"""Room on the spool disk: what passes through a file of this process stays below what its platform gives it.

A replica may have less of a disk than the disk has room: a node ends a pod whose volume holds more than it may, and
replicas on one machine share its disk. So a file has its room before its first byte is written, and one without room
meets the error of a full disk.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mlflow_runtime import environment

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

VARIABLE: Final = environment.variable("SPOOL_MIB")
_BLOCK = 512  # of st_blocks, by POSIX


class Usage(NamedTuple):
    """Bytes."""

    used: int
    free: int


class Spool:
    """The files below `folder`, of at most `limit` bytes together."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._lock, self._promised = threading.Lock(), 0

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Keep room for a file of `size` bytes while it is written. Raises OSError (ENOSPC) where there is none.

        What is written meanwhile counts twice, so that files that grow at the same time have room as well.
        """
        with self._lock:
            if self._used() + self._promised + size > self._limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._promised += size
        try:
            yield
        finally:
            with self._lock:
                self._promised -= size

    def usage(self) -> Usage:
        """Return what is used, and what is free of the limit, or of a disk that has less."""
        used = self._used()
        return Usage(used, max(0, min(self._limit - used, shutil.disk_usage(self._folder).free)))

    def _used(self) -> int:
        """Return what the files take. One that goes meanwhile takes nothing."""
        total = 0
        for folder, _, files in os.walk(self._folder):
            for name in files:
                with suppress(OSError):
                    total += (Path(folder) / name).lstat().st_blocks * _BLOCK
        return total


def room(size: int) -> AbstractContextManager[None]:
    """Return `Spool.room` of this process; a process without a spool of its own has the room of its disk."""
    found = _own()
    return nullcontext() if found is None else found.room(size)


def usage() -> Usage:
    """Return how full the spool of this process is, or the disk of one without. Raises OSError."""
    found = _own()
    if found is not None:
        return found.usage()
    disk = shutil.disk_usage(tempfile.gettempdir())
    return Usage(disk.used, disk.free)


def _own() -> Spool | None:
    folder, mib = os.environ.get("TMPDIR"), os.environ.get(VARIABLE)
    return _spool(folder, int(mib) << 20) if folder and mib else None


@functools.cache
def _spool(folder: str, limit: int) -> Spool:
    return Spool(Path(folder), limit)
