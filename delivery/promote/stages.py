"""Which stacks are behind the one before them, for a schedule that proposes what nobody has asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from delivery.outcome import CommandError
from delivery.promote.stack_files import Files, Stack


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stack, and the one whose release it gets next. `rests` says why it gets none; empty where it is behind."""

    target: str
    source: str = ""
    rests: str = ""


def stages(files: Files) -> list[Stage]:
    """Return a stage for each stack but the first ones, in the order in which releases travel.

    Raises CommandError for a shallow clone: what a stack went back from is in the history of its file.
    """
    if files.repository.shallow:
        raise CommandError(
            "promote --next: this is a shallow clone, without the history of the files. Run: git fetch --unshallow"
        )
    every = [stack for stack in map(files.stack, files.names) if stack.rank >= 0]
    return [
        one
        for target in sorted(every, key=lambda stack: (stack.rank, stack.name))
        for one in _of_target(files, target, [stack for stack in every if stack.rank < target.rank])
    ]


def _of_target(files: Files, target: Stack, earlier: list[Stack]) -> Iterator[Stage]:
    nearest = max((stack.rank for stack in earlier), default=-1)
    before = [stack for stack in earlier if stack.rank == nearest]
    if len(before) > 1:
        names = ", ".join(stack.name for stack in before)
        by_hand = f"mlflow-platform promote {before[0].name} {target.name}"
        yield Stage(target=target.name, rests=f"{names} come before it; choose one by hand. Run: {by_hand}")
    elif before:
        yield Stage(target=target.name, source=before[0].name, rests=_rests(files, before[0], target))


def _rests(files: Files, source: Stack, target: Stack) -> str:
    """Why the target gets nothing: it has the release or a newer one, or somebody took it back."""
    wanted, present = source.release, target.release
    if wanted is None:
        return f"{source.name} has no image"
    if not wanted.whole:
        return f"{source.path} names a digest alone"
    if present is not None and present.digest == wanted.digest:
        return f"it has the release of {source.name}, {wanted.short}"
    if present is not None and _is_ahead(files, present.commit, wanted.commit):
        return f"it has a newer release than {source.name}"
    if any(one.digest == wanted.digest for one in files.releases(target.name)):
        by_hand = f"mlflow-platform promote {source.name} {target.name}"
        return f"it went back from {wanted.short}; to try it again run: {by_hand}"
    return ""


def _is_ahead(files: Files, present: str, wanted: str) -> bool:
    known = bool(present) and files.repository.has(present) and files.repository.has(wanted)
    return known and present != wanted and files.repository.contains(present, wanted)
