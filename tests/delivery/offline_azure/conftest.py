"""Offline Azures, and a program on one that the real engine runs, for the modules that name its source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.offline_azure.cloud import Azure
from tests.support import arm
from tests.support.engine import Program, served


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    """An Azure with the resource group `rg`, that takes requests as short as tests write them."""
    made = Azure(tmp_path / "azure.json", operation_seconds=0)
    made.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "rg", "location": "westeurope"})
    return made


@pytest.fixture
def checked(tmp_path: Path) -> Azure:
    """An empty Azure that checks requests against ARM's schemas too, where they are present."""
    return Azure(tmp_path / "azure.json", checks=arm.CHECKS)


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path, checked: Azure) -> Iterator[Program]:
    """The program whose text is the module's SOURCE."""
    with served(checked) as port:
        yield Program.written(tmp_path, request.module.SOURCE, port)
