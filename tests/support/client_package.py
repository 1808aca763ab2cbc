"""The package `mlflow-entra` as whoever installs it has it: the built wheel, unpacked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.plane import REPOSITORY

PACKAGE = REPOSITORY / "clients" / "mlflow-entra"


def built(folder: Path) -> Path:
    """Build the wheel in `folder`."""
    # What an installation from the checkout left would get into the wheel.
    left = shutil.ignore_patterns("build", "*.egg-info")
    shutil.copytree(PACKAGE, folder / "package", ignore=left)
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=folder / "package", capture_output=True, text=True, check=True
    )
    return folder / done.stdout.split()[-1]


def installed(folder: Path) -> Path:
    """Return a folder for PYTHONPATH with the package in it."""
    site = folder / "site"
    with zipfile.ZipFile(built(folder)) as wheel:
        wheel.extractall(site)
    return site
