"""Azurite, the blob store of the local stack, installed from its lock file into the cache by the environment's own npm.

Prints the folder that holds its `node_modules`. No package's install script is run. Every file is checked against the
hash in package-lock.json; the registry is the one that the user's npm configuration names.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools import cache
from tools.steps import Report, ToolError, main, run

BLOB_SERVER = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")
"""What Node runs, below the folder that `provide` returns."""

_HERE = Path(__file__).resolve().parent
_FILES = ("package.json", "package-lock.json")


def provide(binaries: Path, report: Report) -> Path:
    """Folder that holds `node_modules` with Azurite, installed unless cached by the npm in the folder `binaries`."""
    directory = cache.root() / "azurite" / cache.digest((_HERE / name).read_bytes() for name in _FILES)
    return cache.ensure(
        directory, lambda staging: _install(binaries, staging, report), essential=[str(BLOB_SERVER)], report=report
    )


def _install(binaries: Path, staging: Path, report: Report) -> None:
    npm = binaries / "npm"
    if not npm.exists():
        raise ToolError(f"there is no {npm}, which comes with the project's environment: make it with tools/venv.py")
    for name in _FILES:
        shutil.copyfile(_HERE / name, staging / name)
    run(
        [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"],
        doing="installing Azurite",
        report=report,
        remedy="Check that npm reaches a registry (`npm ping`); `npm config set registry URL` sets a private one.",
        cwd=staging,
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"},
    )


def _run(report: Report) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    here = Path(sys.executable).parent
    checkout = _HERE.parents[1] / ".venv" / "bin"
    print(provide(here if (here / "npm").exists() and sys.prefix != sys.base_prefix else checkout, report))


if __name__ == "__main__":
    sys.exit(main("azurite", _run))
