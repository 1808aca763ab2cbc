"""Each command that a document or a message advises exists as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.advice import (
    REPOSITORY,
    of_markdown,
    of_python,
    pasted_of_markdown,
    pasted_of_python,
    problem,
    refusal,
)

_DOCUMENTS = sorted(
    path.relative_to(REPOSITORY)
    for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"))
    if path.is_file()
)
_SOURCES = sorted(
    path.relative_to(REPOSITORY)
    for folder in ("components", "delivery", "infra", "runtime/mlflow_runtime", "tools")
    for path in (REPOSITORY / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", _DOCUMENTS, ids=str)
def test_the_commands_of_a_document_exist(path: Path) -> None:
    assert [found for one in of_markdown((REPOSITORY / path).read_text()) if (found := problem(one))] == []


def test_the_commands_of_messages_and_docstrings_exist() -> None:
    found = {
        str(path): problems
        for path in _SOURCES
        if (problems := [why for one in of_python((REPOSITORY / path).read_text()) if (why := problem(one))])
    }
    assert found == {}


def test_the_command_line_takes_what_is_there_to_be_pasted() -> None:
    pasted = [
        *(one for path in _DOCUMENTS for one in pasted_of_markdown((REPOSITORY / path).read_text())),
        *(one for path in _SOURCES for one in pasted_of_python((REPOSITORY / path).read_text())),
    ]
    assert len([one for one in pasted if one.startswith("mlflow-platform")]) > 30
    assert [why for one in pasted if (why := refusal(one))] == []


def test_who_follows_the_readme_finds_every_program_of_its_commands(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    path = next(line for line in (REPOSITORY / "README.md").read_text().splitlines() if line.startswith("export PATH="))
    done = subprocess.run(
        ["/bin/sh", "-ec", f"{path}\ncommand -v mlflow-platform\ncommand -v pulumi"],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["mlflow-platform", "pulumi"]


@pytest.mark.parametrize(
    "command",
    [
        "mlflow-platform preview",
        "mlflow-platform preview prod staging",
        "mlflow-platform preview prod --form jsn",
        "mlflow-platform image push --to",
        "mlflow-platform image squash a",
        "mlflow-platform up dev",
    ],
)
def test_what_the_command_line_refuses_is_found(command: str) -> None:
    assert refusal(command) is not None


def test_there_are_commands_to_check() -> None:
    advised = {path.name: of_markdown((REPOSITORY / path).read_text()) for path in _DOCUMENTS}
    assert "make up" in advised["README.md"]
    assert "make -s env" in advised["README.md"]
    lifecycle = of_python((REPOSITORY / "delivery/local/lifecycle.py").read_text())
    assert {"make up", "make destroy", "make destroy YES=1"} <= set(lifecycle)


@pytest.mark.parametrize(
    "text",
    [
        "`make everything`",
        "`make up IMAGES=x`",
        "`mlflow-platform stat`",
        "`mlflow-platform status --jason`",
        "`mlflow-platform image squash a`",
        "`python -m delivery.locale status`",
        "`python -m delivery.cost out.json`",
        "`python tools/nowhere.py`",
        "`pulumi config set portBase 6500`",
        "`pulumi config set local.portBase 6500 -s local`",
        "`pulumi config set --path local.nope 1`",
        "`pulumi config set -s prod --path aks.existingCluster.nope 1`",
        "`pulumi config rm --path local.portBase.more`",
        "`pulumi config set 'teams[0]' team-a`",
        "`pulumi config set-all --path --plaintext 'local.nope=1' -s local`",
        "`pulumi up -s production`",
        "`pulumi preview --stack production`",
        "`mlflow-platform preview production --json`",
        "`mlflow-platform promote dev production`",
        "`mlflow-platform audit ID --stack production`",
        "`make preview STACK=production`",
        "`.venv/bin/mlflow-platform stat`",
        "`.venv/bin/python -m delivery stat`",
        "`.venv/bin/python -m delivery.nowhere`",
        '```sh\neval "$(make -s envs)"\n```\n',
        "```sh\nA=1 make up && mlflow-platform smok  # comment\n```\n",
        "```bash\nmake everything\n```\n",
        "```console\n$ make everything\nIt begins to work.\n```\n",
        '```sh title="All of it"\nmake everything\n```\n',
        "1. First:\n\n   ```sh\n   make everything\n   ```\n",
    ],
)
def test_a_command_that_does_not_exist_is_found(text: str) -> None:
    assert [found for one in of_markdown(text) if (found := problem(one))] != []
    assert "```" in text or [found for one in of_python(repr(text)) if (found := problem(one))] != []


@pytest.mark.parametrize(
    "source",
    [
        'f"port {port} is taken. Run: pulumi config set portBase {port + 1000}"',
        'f"stack {name}: Run: mlflow-platform recovery {name}."',
        '"""Ends what `make begin` began."""',
    ],
)
def test_a_message_that_advises_what_does_not_exist_is_found(source: str) -> None:
    assert [found for one in of_python(source) if (found := problem(one))] != []


@pytest.mark.parametrize(
    "text",
    [
        "`make up IMAGE=localhost/mlflow-runtime`",
        "`mlflow-platform preview prod --offline --json`",
        "`mlflow-platform image run --memory=2048 ID tracking`",
        "`python -m delivery.schema.generate`",
        "`pulumi config set --path local.portBase 6500 -s local`",
        "`pulumi config set azure-native:location westeurope`",
        "`pulumi config set --path mlflow-platform:aks.existingCluster.id CLUSTER_ID -s STACK`",
        "`pulumi config set --path 'shares[\"team-b/models/churn\"][0]' team-a -s dev`",
        "`pulumi config set --path waivers.shared-keys.owner ml-platform -s prod`",
        "`pulumi config set --path KEY VALUE -s STACK`",
        "`pulumi config set -s prod protect false`",
        "`pulumi up -s $STACK`",
        "`make -s env`",
        "`mlflow-platform promote .local/image/image.json dev`",
        "`mlflow-platform audit prod --stack dev`",
        "`.venv/bin/python -m delivery status --json`",
        "```console\n$ make up\nmake everything is what it prints\n```\n",
        "```python\nmake everything\n```\n",
        "`make` and nothing else",
    ],
)
def test_a_command_that_exists_is_not_found_fault_with(text: str) -> None:
    assert [found for one in of_markdown(text) if (found := problem(one))] == []
