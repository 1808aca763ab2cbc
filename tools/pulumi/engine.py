"""Make a working `pulumi` available and print the folder to put first on PATH.

Which one, in the order of `auto`:
  path      a `pulumi` on PATH, if it is 3.200 or a later 3.x and its Python language host is there
  official  the official release of the pinned version, verified by its published checksum
  build     the same version built from Go modules that are pinned by content (minutes, once)

What was made is cached outside the checkout; a second call answers at once, without network. Progress goes to stderr,
the folder to stdout. Written for Linux and macOS; run on Linux x86-64 only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools import cache
from tools.pulumi import build, official, on_path
from tools.pulumi.kinds import Engine
from tools.steps import Report, ToolError, main

_CHOICES = ("auto", "path", "official", "build")


def at_hand(choice: str, report: Callable[[str], None]) -> Engine | None:
    """Return the chosen engine if this machine has it, else None.

    Raises `ToolError` if one on PATH is forced and cannot serve.
    """
    kept = [engine for engine in (official.cached(), build.cached()) if cache.is_whole(engine.directory)]
    if choice in ("auto", "path"):
        try:
            return on_path.find(kept)
        except ToolError as reason:
            if choice == "path":
                raise ToolError(
                    f"{reason}. Install a newer Pulumi, or leave the choice open: --choose auto"
                ) from reason
            if not isinstance(reason, on_path.NoneOnPathError):
                report(f"{reason}; going on without it")
    return next((engine for engine in kept if choice in ("auto", engine.source)), None)


def provide(choice: str, report: Report) -> Engine:
    """The engine of that choice, made available. Raises `ToolError` if a forced choice cannot be had, or none can."""
    if (there := at_hand(choice, report)) is not None:
        return there
    if choice in ("auto", "official"):
        try:
            return official.provide(report)
        except official.UnreachableError as reason:
            if choice == "official":
                raise ToolError(f"{reason}. Leave the choice open (--choose auto) to build it instead") from reason
            report(f"no official release here ({reason})")
    return build.provide(report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--choose",
        choices=_CHOICES,
        default=os.environ.get("PULUMI_ENGINE") or "auto",
        help="which engine (default: the environment variable PULUMI_ENGINE, else auto)",
    )
    parser.add_argument("--json", action="store_true", help="print directory, version and source as JSON")
    given = parser.parse_args()
    if given.choose not in _CHOICES:  # argparse does not check a default
        parser.error(f"PULUMI_ENGINE is {given.choose!r}; choose from {', '.join(_CHOICES)}")
    return given


def _run(report: Report) -> None:
    given = _arguments()
    engine = provide(given.choose, report)
    described = {"directory": str(engine.directory), "version": engine.version, "source": engine.source}
    print(json.dumps(described) if given.json else engine.directory)


if __name__ == "__main__":
    sys.exit(main("pulumi", _run))
