"""Pulumi on the local stack: one update at a time, and none stopped by what a killed one left behind."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from delivery.local.configuration import PROJECT, REPOSITORY, STACK, LocalStack

INTERRUPTED = 130


class StackBusyError(RuntimeError):
    """Another update of this stack is running."""


class EngineError(RuntimeError):
    """A Pulumi command failed; what it said is on the terminal already. `code` is the exit code to end with."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def pulumi(stack: LocalStack, arguments: Sequence[str]) -> None:
    """Run one Pulumi command on the stack. Ctrl-C lets it finish what is under way; raises EngineError if it fails."""
    command = ["pulumi", *arguments, "--stack", STACK, "--non-interactive"]
    child = subprocess.Popen(command, cwd=REPOSITORY, env=stack.environment())
    interrupted = False
    while True:
        try:
            code = child.wait()
            break
        except KeyboardInterrupt:
            # The terminal has sent the signal to Pulumi as well, which ends in good order. Wait for that.
            interrupted = True
    if interrupted:
        raise EngineError("Interrupted; what was done is recorded. Run the same command again to go on.", INTERRUPTED)
    if code != 0:
        raise EngineError(f"`pulumi {arguments[0]}` failed with exit code {code}; the reason is above.")


def select(stack: LocalStack) -> None:
    """Make sure that the stack exists in the state."""
    state = stack.backend / ".pulumi" / "stacks" / PROJECT / f"{STACK}.json"
    if state.exists():
        return
    subprocess.run(
        ["pulumi", "stack", "init", STACK, "--no-select", "--non-interactive"],
        cwd=REPOSITORY,
        env=stack.environment(),
        check=True,
    )


@contextmanager
def exclusive(stack: LocalStack) -> Iterator[None]:
    """One `up`, `down` or `destroy` at a time. Clears the engine's own lock if its holder is dead."""
    stack.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = stack.root / "update.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackBusyError(
                f"Another command works on this stack ({lock.read().strip() or 'just started'}). "
                "Wait until it has ended, then run this one again."
            ) from None
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}, since {time.strftime('%H:%M:%S')}")
        lock.flush()
        _clear_dead_lock(stack)
        try:
            yield
        finally:
            lock.truncate(0)


def _clear_dead_lock(stack: LocalStack) -> None:
    """A killed engine leaves its lock in the state; one whose process is gone protects nothing."""
    folder = stack.backend / ".pulumi" / "locks"
    for path in folder.rglob("*.json"):
        holder = _holder(path)
        if holder is not None and not _is_engine(holder):
            path.unlink(missing_ok=True)


def _holder(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _is_engine(pid: int) -> bool:
    """Whether the pid is that of a living engine: it may be a killed one's that nobody waited for, or a newcomer's."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "pulumi" in process.name()
    except psutil.NoSuchProcess:
        return False
