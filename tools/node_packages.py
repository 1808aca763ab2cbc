"""Packages of npm, installed from a lock file into the cache by the environment's own npm.

No package's install script is run. Every file is checked against the hash in package-lock.json; the registry is the one
that the user's npm configuration names.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools import cache
from tools.steps import Report, ToolError, run

_TOOLS = Path(__file__).resolve().parent
_FILES = ("package.json", "package-lock.json")


def charts(report: Report) -> Path:
    """Folder with uPlot, which draws the dashboard: uPlot.iife.min.js and uPlot.min.css."""
    scripts = Path("node_modules", "uplot", "dist")
    found = provide(_TOOLS / "charts", essential=scripts / "uPlot.iife.min.js", binaries=binaries(), report=report)
    return found / scripts


def kusto(report: Report) -> Path:
    """Folder with Microsoft's analyzer of KQL for Node.js: bridge.min.js and Kusto.Language.Bridge.min.js."""
    scripts = Path("node_modules", "@kusto", "language-service-next")
    essential = scripts / "Kusto.Language.Bridge.min.js"
    return provide(_TOOLS / "kusto", essential=essential, binaries=binaries(), report=report) / scripts


def load(report: Report) -> Path:
    """Folder of autocannon, the load tool of the bench: an HTTP/1.1 client of Node.js that keeps its connections."""
    package = Path("node_modules", "autocannon")
    return provide(_TOOLS / "load", essential=package / "autocannon.js", binaries=binaries(), report=report) / package


def provide(locked: Path, *, essential: Path, binaries: Path, report: Report) -> Path:
    """Folder that holds `node_modules` as package.json and package-lock.json in the folder `locked` say.

    Installed by the npm in the folder `binaries`, unless it is in the cache. `essential` is a file below the result
    without which it is useless. Raises `ToolError` where there is no npm or it fails.
    """
    name = locked.name
    directory = cache.root() / name / cache.digest((locked / file).read_bytes() for file in _FILES)

    def make(staging: Path) -> None:
        npm = binaries / "npm"
        if not npm.exists():
            raise ToolError(
                f"there is no {npm}, which comes with the project's environment: make it with tools/venv.py"
            )
        for file in _FILES:
            shutil.copyfile(locked / file, staging / file)
        run(
            [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"],
            doing=f"installing {name}",
            report=report,
            remedy="Check that npm reaches a registry (`npm ping`); `npm config set registry URL` sets a private one.",
            cwd=staging,
            env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"},
        )

    return cache.ensure(directory, make, essential=[str(essential)], report=report)


def binaries() -> Path:
    """Where the environment's npm is: beside the running Python, or in the checkout's environment."""
    here = Path(sys.executable).parent
    in_environment = (here / "npm").exists() and sys.prefix != sys.base_prefix
    return here if in_environment else _TOOLS.parent / ".venv" / "bin"
