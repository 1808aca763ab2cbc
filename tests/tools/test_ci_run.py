"""What a landing is decided by: the parts of `.ci/run`, and which it leaves out in words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools.conftest import CHECKOUT, stub

ASKED = "CI_KUBERNETES"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A checkout whose make only says its target; `make lint` fails where a file `broken` is."""
    shutil.copytree(CHECKOUT / ".ci", tmp_path / ".ci")
    stub(tmp_path / "tools" / "browser.sh", "exit 0")
    for program in ("chromium", "make"):
        stub(tmp_path / "bin" / program, 'echo "made $1"; test "$1" != lint || test ! -e broken')
    return tmp_path / ".ci" / "run"


def output(run: Path, *, code: int = 0, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != ASKED}
    path = f"{run.parents[1] / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([run], env={**inherited, **environment, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_the_tests_on_kubernetes_are_left_out_in_the_last_line(run: Path) -> None:
    said = output(run)
    assert "made test\n" in said
    assert "made test-aks" not in said
    assert said.splitlines()[-1].startswith("LEFT OUT: kubernetes: ")


def test_they_run_where_the_variable_asks_for_them(run: Path) -> None:
    said = output(run, CI_KUBERNETES="1")
    assert "made test-aks\n" in said
    assert "LEFT OUT" not in said


def test_a_part_that_fails_ends_the_run_and_is_named_last(run: Path) -> None:
    (run.parents[1] / "broken").touch()
    said = output(run, code=1)
    assert said.splitlines()[-1].startswith("FAILED: lint and types, after ")
    assert "made test" not in said


def test_every_part_has_a_budget(run: Path) -> None:
    assert "WARNING" not in output(run, CI_KUBERNETES="1")
