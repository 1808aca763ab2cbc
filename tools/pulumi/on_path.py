"""The Pulumi engine that the user has: looked for on PATH, and refused with a reason where it cannot serve."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.pulumi.kinds import FILES, OLDEST, Engine, parse_version, version_of
from tools.steps import ToolError


class NoneOnPathError(ToolError):
    """There is no `pulumi` on PATH at all, which is no fault."""


def find(kept: Sequence[Engine] = ()) -> Engine:
    """The first `pulumi` on PATH. Raises `NoneOnPathError`, or `ToolError` if it is broken, too old or incomplete.

    An engine of `kept`, which is whole, is not run: its folder is named after its version.
    """
    found = shutil.which("pulumi")
    if found is None:
        raise NoneOnPathError("there is no pulumi on PATH")
    pulumi = Path(found).absolute()
    for engine in kept:
        if engine.directory == pulumi.parent:
            return replace(engine, source="path")
    version = version_of(pulumi)
    number = parse_version(version)
    oldest = ".".join(map(str, OLDEST))
    if number is None or number < OLDEST or number[0] != OLDEST[0]:
        raise ToolError(f"{pulumi} is version {version}; {oldest} or a later 3.x is needed")
    missing = [name for name in FILES if not _is_reachable(name, pulumi)]
    if missing:
        raise ToolError(f"{pulumi} is incomplete: {', '.join(missing)} is neither beside it nor on PATH")
    return Engine(directory=pulumi.parent, version=version, source="path")


def _is_reachable(name: str, pulumi: Path) -> bool:
    """Whether the engine would find its companion: on PATH, beside the link to the engine, or beside its target."""
    return any(shutil.which(name, path=path) for path in (None, str(pulumi.parent), str(pulumi.resolve().parent)))
