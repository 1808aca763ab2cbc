"""Which folder is a local stack's own: `up` uses no other folder, and `destroy` removes nothing from one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.compute.local.layout import Layout
from delivery.local.configuration import PROJECT, REPOSITORY
from delivery.outcome import CommandError
from delivery.pulumi.installation import state_file
from delivery.pulumi.lock import LOCK
from delivery.stacks import LOCAL
from infra.settings.local import OWN

MARKER: Final = "mlflow-platform-stack"
"""The file that says that a stack made the folder. It comes first and goes last."""

_TEXT: Final = "A local stack of mlflow-platform made this folder. `make destroy` removes what the stack made in it.\n"
# The engine's state and its own files, as LocalStack names them.
_STATE, _HOME = "pulumi", "pulumi-home"


def made(root: Path) -> frozenset[str]:
    """Return the names that a stack makes in its folder, without the lock, which stays."""
    layout = Layout(root)
    folders = (layout.supervisor_config.parent, layout.processes, layout.logs, layout.spool, layout.data)
    return frozenset({*(folder.name for folder in folders), _STATE, _HOME, MARKER})


def owned(root: Path) -> bool:
    """Whether a stack made the folder: it holds the marker, or the state that stacks without a marker had."""
    return (root / MARKER).is_file() or state_file(root / _STATE, PROJECT, LOCAL).is_file()


def refuse_foreign(root: Path) -> None:
    """Raise CommandError for a folder with files of somebody else, or one that another stack made in its own.

    The checkout's `.local` is the product's: what other commands wrote there, such as a built image, may stand beside a
    stack. The checkout's other folders take no new stack.
    """
    above = next((each for each in root.parents if owned(each) and root.relative_to(each).parts[0] in made(each)), None)
    if above is not None:
        raise _refusal(root, f"belongs to the stack in {above}")
    if root.exists() and not root.is_dir():
        raise _refusal(root, "is no folder")
    if owned(root) or _begun(root):
        return
    own = (REPOSITORY / OWN).resolve()
    if root.is_relative_to(REPOSITORY) and not root.is_relative_to(own):
        raise _refusal(root, f"is a folder of the project other than {OWN}")
    foreign = [name for name in _names(root) if root != own or name in made(root)]
    if foreign:
        raise _refusal(root, f"holds {_some(foreign)} and was made by no local stack")


def _begun(root: Path) -> bool:
    """Whether an `up` without a marker ended before the engine wrote a state: it left the engine's empty folders."""
    state, names = root / _STATE, _names(root)
    of_the_engine = not state.is_dir() or {entry.name for entry in state.iterdir()} <= {".pulumi"}
    return bool(names) and {*names} <= {_STATE, _HOME} and of_the_engine


def claim(root: Path) -> None:
    """Mark the folder as a stack's own. Raises CommandError for one with files of somebody else."""
    refuse_foreign(root)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        (root / MARKER).write_text(_TEXT)
    except OSError as error:
        raise _refusal(root, f"cannot be written to ({error.strerror})") from None


def _refusal(root: Path, why: str) -> CommandError:
    return CommandError(
        f"local.stateDirectory: got {root}, which {why}; expected a folder in {OWN} or outside of the project that is "
        "new, empty or a local stack's own. Nothing was changed. Write another folder into the stack's file."
    )


def remove(root: Path) -> Sequence[str]:
    """Remove what a stack made in its folder and return the names that are left. A link goes, its target stays."""
    for name in sorted(made(root) - {MARKER}):
        _remove(root / name)
    # An interrupted removal can be repeated as long as the folder is a stack's own.
    _remove(root / MARKER)
    return _names(root)


def left(root: Path, names: Sequence[str]) -> str:
    """Say what stays in the folder, empty if nothing does."""
    return f" Left in {root}: {_some(names)}, which no stack made." if names else ""


def _names(root: Path) -> list[str]:
    # The lock is held until the end; whoever waits for it must find the same file.
    return sorted(entry.name for entry in root.iterdir() if entry.name != LOCK) if root.is_dir() else []


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
