"""Make actionlint available, which checks the workflows of GitHub, and print where it is.

It is built from its Go module, whose wheel only downloads a binary, and cached outside the checkout by its version; a
second call answers at once, without network. A first call takes about a minute. Progress goes to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools import cache, golang
from tools.steps import Report, main

MODULE = Path(__file__).resolve().parent
_PACKAGE = "github.com/rhysd/actionlint"
_BINARY = "actionlint"


def provide(report: Report) -> Path:
    """Return the program, made unless it is cached. Raises `ToolError`."""
    version = golang.required(MODULE, _PACKAGE)
    digest = cache.digest([*golang.pins([MODULE]), *golang.RECIPE, sys.platform, os.uname().machine])
    directory = cache.root() / _BINARY / f"{version}-{digest}"

    def make(staging: Path) -> None:
        go = golang.toolchain([MODULE], report)
        go.compile(golang.Program(module=MODULE, package=f"{_PACKAGE}/cmd/{_BINARY}", binary=_BINARY), staging, report)
        go.discard(report)

    return cache.ensure(directory, make, essential=(_BINARY,), report=report) / _BINARY


if __name__ == "__main__":
    sys.exit(main(_BINARY, lambda report: print(provide(report))))
