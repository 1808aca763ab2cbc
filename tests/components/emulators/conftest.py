"""Data planes for the tests of this folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plane import REPOSITORY, Plane
from tests.support.ports import first_of_free_ports


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A data plane for one test."""
    yield from _plane()


@pytest.fixture(scope="module")
def shared_plane() -> Iterator[Plane]:
    """A data plane for the tests of one file."""
    yield from _plane()


@pytest.fixture(scope="session")
def azurite() -> Path:
    """The folder that holds Azurite, from the project's own installer and its cache."""
    installer = REPOSITORY / "tools" / "azurite" / "install.py"
    result = subprocess.run([sys.executable, installer], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip())


def _plane() -> Iterator[Plane]:
    # Not pytest's tmp_path: its name is too long for a Unix socket on macOS.
    folder = Path(tempfile.mkdtemp(prefix="plane-"))
    plane = Plane(folder, first_of_free_ports(4))
    try:
        yield plane
    finally:
        plane.stop_all()
        shutil.rmtree(folder)
