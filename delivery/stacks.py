"""The stacks of a repository: those with a file in `stacks/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from delivery.outcome import CommandError, ExitCode
from delivery.pulumi.installation import REPOSITORY

LOCAL: Final = "local"
"""The stack of this machine; the others are on Azure."""


def stacks(repository: Path = REPOSITORY) -> list[str]:
    """Return the names of the stacks that have a file."""
    return sorted(path.name.split(".")[1] for path in (repository / "stacks").glob("Pulumi.*.yaml"))


def on_azure(repository: Path = REPOSITORY) -> list[str]:
    """Return the names of those on Azure."""
    return [name for name in stacks(repository) if name != LOCAL]


def refuse(stack: str, repository: Path = REPOSITORY) -> None:
    """Raise CommandError for a stack that is not on Azure, or has no file."""
    names = on_azure(repository)
    listed = ", ".join(names) or "none yet"
    if stack == LOCAL:
        raise CommandError(
            f"stack local needs no Azure: `make up` runs it on this machine. Previews are of {listed}.",
            ExitCode.USAGE,
        )
    if stack not in names:
        raise CommandError(
            f"stack {stack!r} has no file stacks/Pulumi.{stack}.yaml; there are {listed}. Give one of these.",
            ExitCode.USAGE,
        )
