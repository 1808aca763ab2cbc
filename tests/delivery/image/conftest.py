"""The image, built once for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.image.programs import find
from tests.support import warm
from tests.support.command_line import mlflow_platform
from tests.support.plane import REPOSITORY
from tools.steps import ToolError

_PROGRAMS = ("buildah", "podman", "runc", "debootstrap")


@dataclass(frozen=True)
class Built:
    """A build: its folder and what `build --json` printed."""

    folder: Path
    document: dict[str, Any]

    @property
    def identifier(self) -> str:
        return str(self.document["id"])


def start_build(folder: Path) -> subprocess.Popen[str]:
    """Start to build the image into `folder`, by the command that `make image` calls."""
    command = mlflow_platform("image", "build", "--json", "--output", str(folder))
    cold, pipe = os.environ | warm.COLD, subprocess.PIPE  # one of them may be ended
    return subprocess.Popen(command, cwd=REPOSITORY, env=cold, stdout=pipe, stderr=pipe, text=True)


def finished(build: subprocess.Popen[str], folder: Path) -> Built:
    """What a started build made."""
    printed, said = build.communicate(timeout=380)
    assert build.returncode == 0, said
    return Built(folder, json.loads(printed))


@pytest.fixture(scope="session")
def tools_of_containers() -> None:
    """Skips the test, saying why, on a machine where images cannot be built or run."""
    subprocess.run([REPOSITORY / "tools" / "containers.sh"], check=False, capture_output=True)
    try:
        for program in _PROGRAMS:
            find(program)
    except ToolError as error:
        pytest.skip(str(error))
    if os.geteuid() != 0:
        pytest.skip("a base is made by debootstrap, which needs root")


@dataclass(frozen=True)
class _Builds:
    first: Built
    second: subprocess.Popen[str] | None


@pytest.fixture(scope="session")
def _builds(
    tools_of_containers: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[_Builds]:
    """One build, and another of the same that goes on beside the tests, if any of them will ask for it."""
    folder = tmp_path_factory.mktemp("image") / "first"
    first = finished(start_build(folder), folder)
    wanted = any("built_again" in getattr(item, "fixturenames", ()) for item in request.session.items)
    second = start_build(folder.with_name("second")) if wanted else None
    yield _Builds(first, second)
    if second is not None and second.poll() is None:
        second.terminate()
        second.wait(60)


@pytest.fixture(scope="session")
def built(_builds: _Builds) -> Built:
    """The image of this checkout."""
    return _builds.first


@pytest.fixture
def built_again(_builds: _Builds) -> Built:
    """Another build of the same, waited for."""
    assert _builds.second is not None
    return finished(_builds.second, _builds.first.folder.with_name("second"))
