"""`mlflow-runtime schema OLD NEW`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_runtime import cli

LOCK = Path(__file__).resolve().parents[3] / "runtime" / "requirements.lock"


def ran(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(["schema", *arguments]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def test_it_names_each_revision_and_what_stands_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ran(capsys, "3.10.1", "3.17.2").splitlines()
    assert lines[0] == "MLflow 3.10.1 (1b5f0d9ad7c1) -> 3.17.2 (dc11669786a5)"
    assert "18 revisions" in lines[1]
    assert lines[2] == "The code of 3.10.1 does NOT run on the whole of the newer schema:"
    assert "  75868b020152 spans: column removed, dimension_attributes" in lines
    assert "  dc11669786a5 add job executor persistence model" in lines


def test_a_lock_file_stands_for_the_version_that_it_pins(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    older = tmp_path / "requirements.lock"
    older.write_text("mlflow-skinny==1.0 \\\n    --hash=sha256:0\nmlflow==3.17.0 \\\n    --hash=sha256:0\n")
    assert "No migration: both need the same schema." in ran(capsys, str(older), str(LOCK))


LABELS = {"org.mlflow.version": "3.17.0", "org.opencontainers.image.revision": "abc"}
OCI_CONFIGURATION = {"architecture": "amd64", "config": {"Labels": LABELS, "User": "10001"}}
BUILDAH = {"FromImage": "x", "OCIv1": OCI_CONFIGURATION, "Docker": {"config": {"Labels": LABELS}}}


@pytest.mark.parametrize(
    "document",
    [OCI_CONFIGURATION, [{"Id": "0", "Labels": LABELS, "Config": {"Labels": LABELS}}], BUILDAH, {"labels": LABELS}],
    ids=["OCI configuration", "podman image inspect", "buildah inspect", "make image JSON=1"],
)
def test_an_images_labels_stand_for_its_version(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, document: object
) -> None:
    file = tmp_path / "older.json"
    file.write_text(json.dumps(document))
    assert "MLflow 3.17.0 (" in ran(capsys, str(file), "3.17.2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"config": {"Labels": {"other": "1"}}}', "org.mlflow.version, as `make image` sets it; it has none"),
        ('[{"Labels": {"org.mlflow.version": "1"}}, {"Labels": {"org.mlflow.version": "2"}}]', "it has 1, 2"),
        ("{", "is no JSON document"),
    ],
)
def test_an_image_without_one_version_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "image.json"
    file.write_text(content)
    assert words in ran(capsys, str(file), "3.17.2", code=2)


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(ran(capsys, "3.16.1", "3.17.2", "--json"))
    assert found["old"] == {"mlflow": "3.16.1", "revision": "b7e2c1a4d9f3"}
    assert found["new"] == {"mlflow": "3.17.2", "revision": "dc11669786a5"}
    assert (found["direction"], found["migration"], found["older_code_runs_on_newer_schema"]) == (
        "forward",
        True,
        False,
    )
    first, second = found["revisions"]
    assert first["revision"] == "75868b020152"
    assert "spans: column removed, dimension_attributes" in first["obstacles"]
    assert set(first["obstacles"]) < set(first["changes"])
    assert (second["revision"], second["obstacles"]) == ("dc11669786a5", [])


def test_a_way_back_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ran(capsys, "3.17.2", "3.16.1")
    assert "MLflow does not migrate back" in refused
    assert "restore point" in refused
    allowed = ran(capsys, "3.16.1", "3.15.0")
    assert "The code of 3.15.0 runs on the newer schema" in allowed
    assert "restore point" not in allowed


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ("3.99.0", "known are 2.22.0"),
        ("latest", "is no released version of MLflow"),
        ("nowhere/requirements.lock", "is no file"),
        ("other.lock", "is no file"),
        ("other.json", "is no file"),
        ("localhost/mlflow-runtime", "is no released version of MLflow"),
    ],
)
def test_what_is_not_known_is_refused(capsys: pytest.CaptureFixture[str], old: str, words: str) -> None:
    assert words in ran(capsys, old, "3.17.2", code=2)


@pytest.mark.parametrize(("content", "words"), [("flask==3\n", "it does not"), ("mlflow==1\nmlflow==2\n", "1, 2")])
def test_a_lock_file_without_one_version_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, words: str
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(content)
    assert words in ran(capsys, str(lock), "3.17.2", code=2)


def test_it_needs_neither_mlflow_nor_a_database_driver() -> None:
    heavy = "{'mlflow', 'sqlalchemy', 'alembic', 'psycopg2'}"
    code = (
        "import sys; from mlflow_runtime.cli import main; main(['schema', '3.16.1', '3.17.2']); "
        f"print({heavy} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env={"PYTHONPATH": str(LOCK.parent)}, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1] == "set()", ended.stderr
