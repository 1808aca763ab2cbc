"""Services with access control, on a data plane of their own: once a team has data, no other service opens it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.access.teams import Teams, directory
from tests.support import issued
from tests.support.entra import serving
from tests.support.ports import first_of_free_ports
from tests.support.services import platform


@pytest.fixture(scope="session")
def teams(azurite: Path) -> Iterator[Teams]:
    """Tracking, registry and artifacts of two teams, and an Entra that they sign in to."""
    # Not pytest's tmp_path: its name is too long for a Unix socket on macOS.
    folder = Path(tempfile.mkdtemp(prefix="access-"))
    try:
        port = first_of_free_ports(1)
        with platform(folder, azurite) as made, serving(made.plane.state, directory(port)) as entra:
            started = Teams.start(made, entra, port)
            yield started
            # After every test, whatever was asked in whatever way: logs, database, artifacts, and what is kept of keys.
            assert issued.number() > 0
            assert issued.left_in(folder) == []
    finally:
        shutil.rmtree(folder)
