"""The bytecode of a fresh checkout, of which each worker of a run compiles a share before it collects.

Workers import the same modules in the same order at the same time, so that each would compile all of them itself: half
of its collection. What another worker has not compiled yet is compiled on import, as ever.
"""

from __future__ import annotations

import compileall
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion import rewrite

_FOLDERS: Final = ("tests", "infra", "components", "delivery", "tools", "runtime", "clients")


def compile_share(config: pytest.Config, number: int, workers: int) -> None:
    """Compile what worker `number` (from 0) has to: every `workers`-th module that is not compiled yet.

    What cannot be compiled or written is left to the import, which says why.
    """
    if sys.dont_write_bytecode or rewrite.assertstate_key not in config.stash:  # `--assert=plain`
        return
    for file in _modules(config.rootpath)[number::workers]:
        if file.name.startswith("test_"):
            _compile_test(file, config)
        else:
            compileall.compile_file(file, quiet=2)


def _modules(root: Path) -> Sequence[Path]:
    return sorted(file for folder in _FOLDERS for file in (root / folder).rglob("*.py"))


def _compile_test(file: Path, config: pytest.Config) -> None:
    """Compile a file of tests as pytest does when it imports one: with its own `assert`."""
    folder = rewrite.get_cache_dir(file)
    compiled = folder / f"{file.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(file, compiled) is None:
        with contextlib.suppress(OSError, SyntaxError, UnicodeError):
            folder.mkdir(parents=True, exist_ok=True)
            digest, code = rewrite._rewrite_test(file, config)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, digest, compiled)
