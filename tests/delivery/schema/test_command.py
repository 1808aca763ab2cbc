"""`mlflow-platform schema`: the comparison of versions, and of images by podman."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from delivery.cli import run
from mlflow_runtime.schema.command import report
from tests.support.command_line import mlflow_platform

REPOSITORY = Path(__file__).resolve().parents[3]
LOCK = REPOSITORY / "runtime" / "requirements.lock"
LABELS = {"org.mlflow.version": "3.17.0"}


def ran(capsys: pytest.CaptureFixture[str], old: str, new: str, code: int = 0) -> str:
    assert run(["schema", old, new]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


@pytest.mark.parametrize(
    "reference", ["localhost/mlflow-runtime", "registry.example.com/x@sha256:" + "0" * 64, "a" * 12]
)
def test_an_image_of_this_machine_is_asked_of_podman(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    podman = tmp_path / "podman"
    inspected = json.dumps([{"Labels": LABELS}])
    podman.write_text(
        f"#!/bin/sh\n[ \"$*\" = 'image inspect {reference}' ] && echo '{inspected}' || {{ echo wrong >&2; exit 1; }}\n"
    )
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert ran(capsys, reference, str(LOCK)).startswith("MLflow 3.17.0 (")
    assert "no image of this machine: wrong" in ran(capsys, "localhost/other", "3.17.2", code=2)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "no podman on PATH" in ran(capsys, reference, "3.17.2", code=2)


@pytest.mark.parametrize("given", ["3.16.1", "registry/requirements.lock"])
def test_a_version_and_a_file_need_no_podman(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "requirements.lock").write_text("mlflow==3.16.1\n")
    assert ran(capsys, given, "3.17.2").startswith("MLflow 3.16.1 (")


def test_what_is_no_name_of_an_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "neither a file nor the name of an image" in ran(capsys, "a b/c", "3.17.2", code=2)
    assert "is no released version" in ran(capsys, "latest", "3.17.2", code=2)


def test_the_command_prints_json() -> None:
    command = mlflow_platform("schema", "3.16.1", "3.17.2", "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == json.loads(report("3.16.1", "3.17.2", as_json=True))
