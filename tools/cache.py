"""The folder outside the checkout in which the tools keep what they made: whole, or not at all.

`${XDG_CACHE_HOME:-~/.cache}/mlflow-platform/KIND/NAME/`, where NAME carries a hash of everything that the content is
made from, so that a changed recipe never meets an old result. A folder is made beside its place and renamed into it at
the end, under a lock: an interrupted maker leaves nothing that the next call trusts, and two at once make it once.
Linux and macOS (advisory locks of fcntl; not tried on Windows, which has none).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tools.steps import Report, ToolError

_MANIFEST = "complete.json"
_STAGING_PREFIX = ".making-"


def root() -> Path:
    """The cache folder of this project. A relative XDG_CACHE_HOME is ignored, as its specification demands."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "mlflow-platform"


def digest(parts: Iterable[bytes | str]) -> str:
    """Twelve hex digits over the parts and their boundaries, for the name of a cached folder."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return total.hexdigest()[:12]


def is_whole(directory: Path) -> bool:
    """Whether `ensure` finished this folder and its essential files still have the size that they had then."""
    try:
        sizes: dict[str, int] = json.loads((directory / _MANIFEST).read_text())
        return all((directory / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def ensure(directory: Path, make: Callable[[Path], None], *, essential: Iterable[str], report: Report) -> Path:
    """Return `directory`, first filled by `make(staging_folder)` unless it is there whole.

    `essential` are files inside, by relative name, without which the folder is useless; a later call that finds one
    of them missing or of another size makes the folder again. What `make` raises passes through and nothing is kept.
    """
    if is_whole(directory):
        return directory
    with lock(directory.parent / ".lock", report):
        if is_whole(directory):
            return directory
        _sweep(directory.parent)
        staging = directory.parent / f"{_STAGING_PREFIX}{os.getpid()}"
        staging.mkdir()
        try:
            make(staging)
            sizes = {name: (staging / name).stat().st_size for name in essential}
            (staging / _MANIFEST).write_text(json.dumps(sizes))
            remove(directory)
            staging.rename(directory)
        finally:
            remove(staging)
    return directory


@contextlib.contextmanager
def lock(path: Path, report: Report) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, waiting for another holder, and saying so.

    The system releases the lock of a process that dies, however it dies. The file stays: removing it would let two
    processes hold two files of one name. Raises ToolError where the file or its folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+")
    except OSError as error:
        raise ToolError(
            f"{path.parent}: got {error.strerror}; expected a folder that can be made and written. "
            "Set XDG_CACHE_HOME to one"
        ) from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            report(f"waiting for process {file.read().strip() or 'unknown'}, which holds {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def remove(directory: Path) -> None:
    """Remove a folder and all in it, if it exists."""
    if directory.exists():
        shutil.rmtree(directory)


def _sweep(parent: Path) -> None:
    """Remove staging folders of processes that have died. Called under the lock, so no live maker is touched."""
    for staging in parent.glob(f"{_STAGING_PREFIX}*"):
        if not _is_alive(staging.name.removeprefix(_STAGING_PREFIX)):
            remove(staging)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()
