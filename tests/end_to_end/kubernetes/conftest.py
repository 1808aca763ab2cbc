"""What the tests of stacks in a cluster start from: a Kubernetes for each file, an empty Azure for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.azure.living import Cloud, opened
from tests.end_to_end.kubernetes.stacks import started
from tests.support.kubernetes.control_plane import ControlPlane


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with started() as made:
        yield made


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with opened(tmp_path) as empty:
        yield empty
