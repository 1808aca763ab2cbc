"""`up --image`: an image that cannot run is refused before anything is made or written down."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pulumi
import pytest

from delivery.local.ownership import MARKER
from infra import local
from infra.settings import model as settings
from infra.settings.model import SettingsError
from tests.support.command_line import mlflow_platform
from tests.support.plane import REPOSITORY

CONFIGURATION = "config:\n  mlflow-platform:profile: local\n  mlflow-platform:local:\n    stateDirectory: {}\n"


@pytest.fixture
def no_podman(tmp_path: Path) -> str:
    """A PATH on which there is no podman."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return str(folder)


@pytest.fixture
def no_image(no_podman: str) -> str:
    """A PATH whose podman has no image."""
    program = Path(no_podman, "podman")
    program.write_text("#!/bin/sh\necho 'Error: no such image' >&2\nexit 125\n")
    program.chmod(0o755)
    return f"{no_podman}{os.pathsep}/bin"


@pytest.fixture
def no_labels(no_podman: str) -> str:
    """A PATH whose podman has an image of something else."""
    program = Path(no_podman, "podman")
    program.write_text('#!/bin/sh\necho \'[{"Id": "0", "Labels": {"org.mlflow.version": "3.17.2"}}]\'\n')
    program.chmod(0o755)
    return f"{no_podman}{os.pathsep}/bin"


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("no_podman", "there is no podman on PATH"),
        ("no_image", "image 'some:tag' is not on this machine (no such image); `make image`"),
        ("no_labels", "image 'some:tag' has no label org.opencontainers.image.revision"),
    ],
)
def test_it_is_refused_by_the_command_and_by_the_program(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, said: str
) -> None:
    path: str = request.getfixturevalue(machine)
    state, file = tmp_path / "state", tmp_path / "Pulumi.local.yaml"
    file.write_text(CONFIGURATION.format(state))
    command = mlflow_platform("up", "--config-file", str(file), "--image", "some:tag")
    done = subprocess.run(
        command, cwd=REPOSITORY, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == CONFIGURATION.format(state)
    assert {entry.name for entry in state.iterdir()} == {"update.lock", MARKER}

    monkeypatch.setenv("PATH", path)
    made: list[object] = []
    monkeypatch.setattr(pulumi.Resource, "__init__", lambda resource, *_, **__: made.append(resource))
    chosen = settings.parse({"profile": "local", "local": {"image": "some:tag"}}, "x")
    with pytest.raises(SettingsError) as refused:
        local.create_stack(chosen)
    assert f"local.image: {said}" in str(refused.value)
    assert made == []
