"""What has to be true before an approved plan is applied. Each refuses with a CommandError, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from delivery.outcome import CommandError
from delivery.pulumi import engine as pulumi
from delivery.pulumi.lock import StackBusyError, living
from delivery.recover import state as states
from delivery.recover.engine import Engine
from delivery.repository import Repository
from tools.pulumi.kinds import pinned_version

_MOST: Final = 5


def clean_commit(repository: Path) -> str:
    """Return the commit that is checked out; refuse files that differ from it, new ones too."""
    changed = Repository(repository).changed()
    if changed:
        raise CommandError(
            f"checkout: got {_counted(changed, 'file')} not committed; expected a clean checkout, since what was "
            f"approved is a commit. Run: git -C {repository} status"
        )
    return Repository(repository).resolved("HEAD")


def pinned_engine(engine: Engine) -> str:
    """Return the engine's version; refuse another than this checkout pins, by which plans are computed."""
    found, pinned = pulumi.version(engine.pulumi), pinned_version()
    if found != pinned:
        raise CommandError(
            f"engine: got version {found}; expected {pinned}, which the approved plan was computed with. Run the same "
            "command with PULUMI_ENGINE=official, or take the other engine off PATH."
        )
    return found


def nothing_pending(engine: Engine) -> None:
    """Refuse a stack on which an update is under way or was interrupted.

    Deletions that a failed update left are no reason: they are part of the plan, and of what is approved.
    """
    stack = engine.stack
    operations = [f"{one.operation} {one.name}" for one in states.pending(engine.state())]
    lock = engine.lock()
    if pid := living(lock or ""):
        raise StackBusyError(f"stack {stack}: `pulumi` with pid {pid} works on it; wait until it has ended.")
    if lock:
        raise CommandError(
            f"stack {stack}: locked, {lock}. If that update still runs, wait until it has ended. If it was killed, "
            f"bring the stack back. Run: mlflow-platform recover {stack}"
        )
    if operations:
        raise CommandError(
            f"stack {stack}: got {_counted(operations, 'interrupted operation')}; expected none, since Azure may have "
            f"what the state does not know. Run: mlflow-platform recover {stack}"
        )


def _counted(names: list[str], noun: str) -> str:
    more = ", …" if len(names) > _MOST else ""
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'} ({', '.join(names[:_MOST])}{more})"
