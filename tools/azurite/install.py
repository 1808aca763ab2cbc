"""Azurite, the blob store of the local stack, installed from its lock file into the cache by the environment's own npm.

Prints the folder that holds its `node_modules`. No package's install script is run. Every file is checked against the
hash in package-lock.json; the registry is the one that the user's npm configuration names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools import node_packages
from tools.steps import Report, main

BLOB_SERVER = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")
"""What Node runs, below the folder that `provide` returns."""

_HERE = Path(__file__).resolve().parent


def provide(binaries: Path, report: Report) -> Path:
    """Folder that holds `node_modules` with Azurite, installed unless cached by the npm in the folder `binaries`."""
    return node_packages.provide(_HERE, essential=BLOB_SERVER, binaries=binaries, report=report)


def _run(report: Report) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(provide(node_packages.binaries(), report))


if __name__ == "__main__":
    sys.exit(main("azurite", _run))
