"""An offline Azure, and a program on it that the real engine runs, for the modules that name its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.offline_azure.cloud import Azure
from tests.support import arm
from tests.support.engine import Program, served


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json", checks=arm.CHECKS)


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path, azure: Azure) -> Iterator[Program]:
    """The program whose text is the module's SOURCE."""
    with served(azure) as port:
        yield Program.written(tmp_path, request.module.SOURCE, port)
