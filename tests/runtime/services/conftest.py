"""One data plane for the tests of this folder that leave it whole, and one for each test that breaks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.plane import REPOSITORY
from tests.runtime.services.stack import Platform, platform


@pytest.fixture(scope="session")
def azurite() -> Path:
    """The folder that holds Azurite, from the project's own installer and its cache."""
    installer = REPOSITORY / "tools" / "azurite" / "install.py"
    result = subprocess.run([sys.executable, installer], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip())


@pytest.fixture(scope="session")
def shared(azurite: Path) -> Iterator[Platform]:
    """A platform that tests share and do not break."""
    folder = _folder()
    try:
        with platform(folder, azurite) as made:
            yield made
    finally:
        shutil.rmtree(folder)


def _folder() -> Path:
    # Not pytest's tmp_path: its name is too long for a Unix socket on macOS.
    return Path(tempfile.mkdtemp(prefix="services-"))
