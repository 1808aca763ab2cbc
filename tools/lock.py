"""Resolve the dependencies and write the lock files, with the hash of every file and the name of no index.

The locks of one environment build on each other, each resolved with the earlier ones as constraints, so that all can
be installed together. They hold for every Python from 3.11 on and every platform. Pins that still satisfy the .in files
stay; `--upgrade` takes the newest. `--check` writes nothing and fails where a lock would change.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tools import wheels
from tools.package_index import uv_arguments, uv_environment
from tools.steps import Report, ToolError, main, run

_CHECKOUT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = (
    ("requirements.in", "requirements.txt"),
    ("runtime/requirements.in", "runtime/requirements.lock"),
    ("requirements-local.in", "requirements-local.txt"),
    ("requirements-dev.in", "requirements-dev.txt"),
)
_ALONE = (
    ("tools/uv.in", "tools/uv.txt"),
    ("tools/go.in", "tools/go.txt"),
    ("tools/kubernetes/kubectl.in", "tools/kubernetes/kubectl.txt"),
    ("tools/policies.in", "tools/policies.txt"),
)
_OPTIONS = (
    "--universal",
    "--generate-hashes",
    "--python-version=3.11",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--custom-compile-command=python tools/lock.py",
)


def write_locks(folder: Path, *, upgrade: bool, report: Report) -> list[str]:
    """Write the lock files below `folder`, which holds the .in files and the present locks, and name the changed ones.

    Raises `ToolError` with the resolver's explanation where requirements contradict each other.
    """
    uv = wheels.unpacked(_CHECKOUT / "tools" / "uv.txt", essential="bin/uv", report=report) / "bin" / "uv"
    locks = [*_ENVIRONMENT, *_ALONE]
    before = {lock: _content(folder / lock) for _, lock in locks}
    for position, (source, lock) in enumerate(locks):
        earlier = [] if (source, lock) in _ALONE else [done for _, done in _ENVIRONMENT[:position]]
        options = [
            *_OPTIONS,
            f"--python={sys.executable}",
            *(["--upgrade"] if upgrade else []),
            *uv_arguments(os.environ),
        ]
        constraints = [f"--constraints={done}" for done in earlier]
        run(
            [uv, "pip", "compile", "--quiet", *options, *constraints, source, f"--output-file={lock}"],
            doing=f"resolving {source}",
            report=report,
            remedy="Where requirements contradict each other, change the .in file that asks for too much.",
            cwd=folder,
            env=uv_environment(os.environ),
        )
    return [lock for lock, content in before.items() if content != _content(folder / lock)]


def stale_locks(report: Report) -> list[str]:
    """Lock files of the checkout that `write_locks` would change."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in (name for pair in (*_ENVIRONMENT, *_ALONE) for name in pair if (_CHECKOUT / name).exists()):
            copy = Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_CHECKOUT / name, copy)
        return write_locks(Path(scratch), upgrade=False, report=report)


def _content(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def _run(report: Report) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--upgrade", action="store_true", help="take the newest versions that the .in files allow")
    action.add_argument("--check", action="store_true", help="fail if a lock does not match its .in file")
    given = parser.parse_args()
    if given.check:
        stale = stale_locks(report)
        if stale:
            raise ToolError(f"out of step with their .in files: {', '.join(stale)}. Write them with tools/lock.py")
        return
    changed = write_locks(_CHECKOUT, upgrade=given.upgrade, report=report)
    print("\n".join(changed) if changed else "every lock is as it was")


if __name__ == "__main__":
    sys.exit(main("lock", _run))
