"""A guard that refuses to start a process, for tests that promise to start none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

STARTS: Final = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"})
"""Python's audit events of starting a process."""

_refused: list[str] | None = None
_hooked = False


class ProcessRefusedError(AssertionError):
    """A test that promises to start no process started one."""


@contextmanager
def refusing_processes() -> Iterator[list[str]]:
    """Refuse every start of a process inside the block; the list names those that were refused."""
    global _refused
    _hook()
    outer, _refused = _refused, []
    try:
        yield _refused
    finally:
        _refused = outer


@contextmanager
def allowing_processes() -> Iterator[None]:
    """Refuse nothing inside the block, such as while fixtures end that other tests made."""
    global _refused
    outer, _refused = _refused, None
    try:
        yield
    finally:
        _refused = outer


def _hook() -> None:
    # An audit hook stays until the interpreter ends, so it is added once and asks whether it is wanted.
    global _hooked
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _refused is None or event not in STARTS:
        return
    started = f"{event} {arguments[0] if arguments else ''}".strip()
    _refused.append(started)
    raise ProcessRefusedError(f"refused: {started}")
