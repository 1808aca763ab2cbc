"""actionlint, built from its module: it finds nothing in the workflows, and a fault that no rule of ours is for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tools.conftest import CHECKOUT
from tools.actionlint import program
from tools.steps import Report

FOLDER = CHECKOUT / ".github" / "workflows"
OPTIONS = ("-no-color", "-shellcheck=", "-pyflakes=")


@pytest.fixture(scope="module")
def actionlint() -> Path:
    return program.provide(Report("actionlint"))


def found(actionlint: Path, *files: Path) -> tuple[int, str]:
    done = subprocess.run(
        [actionlint, *OPTIONS, *files], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_it_finds_nothing_in_the_workflows(actionlint: Path) -> None:
    files = sorted(FOLDER.glob("*.yml"))
    assert len(files) > 6
    assert found(actionlint, *files) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("deploy.yml", "    needs: staging\n", "    needs: stage\n", 'needs job "stage"'),
        ("deploy-stack.yml", "steps.plan.outputs.changes", "steps.plans.outputs.changes", '"plans" is not defined'),
        ("drift.yml", '"10 3 * * *"', '"10 3 * *"', "invalid CRON format"),
        ("image.yml", "runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04", 'unexpected key "runs_on"'),
    ],
)
def test_a_fault_is_found(actionlint: Path, tmp_path: Path, file: str, old: str, new: str, fault: str) -> None:
    source = (FOLDER / file).read_text()
    assert old in source
    changed = tmp_path / file
    changed.write_text(source.replace(old, new))
    code, said = found(actionlint, changed)
    assert code == 1
    assert fault in said
