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
    """A checkout whose make only says what it is called with; `make lint` fails where a file `broken` is, and the
    programs of Kubernetes are cached where `built` is."""
    shutil.copytree(CHECKOUT / ".ci", tmp_path / ".ci")
    stub(tmp_path / "tools" / "browser.sh", "exit 0")
    programs = tmp_path / "tools" / "kubernetes" / "programs.py"
    programs.parent.mkdir()
    programs.write_text(
        "import os, sys\n\nassert sys.argv[1:] == ['--check']\nsys.exit(3 * (not os.path.exists('built')))\n"
    )
    for program in ("chromium", "make"):
        stub(tmp_path / "bin" / program, 'echo "made $*"; test "$1" != lint || test ! -e broken')
    return tmp_path / ".ci" / "run"


def output(run: Path, *, code: int = 0, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != ASKED}
    path = f"{run.parents[1] / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([run], env={**inherited, **environment, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_without_a_kubernetes_its_tests_are_left_out_in_the_last_line(run: Path) -> None:
    said = output(run)
    assert "made test\n" in said
    assert "made test-aks" not in said
    assert said.splitlines()[-1].startswith("LEFT OUT: kubernetes: it is not built; ")


def test_where_it_is_built_the_core_runs_and_the_last_line_names_the_rest(run: Path) -> None:
    (run.parents[1] / "built").touch()
    said = output(run)
    assert "made test CORE=1\n" in said
    assert said.splitlines()[-1].startswith("LEFT OUT: kubernetes beyond its core: ")


@pytest.mark.parametrize("built", [True, False])
def test_all_of_them_run_where_the_variable_asks_for_them(run: Path, built: bool) -> None:
    if built:
        (run.parents[1] / "built").touch()
    said = output(run, CI_KUBERNETES="1")
    assert "made test-aks\n" in said
    assert "LEFT OUT" not in said


def test_a_part_that_fails_ends_the_run_and_is_named_last(run: Path) -> None:
    (run.parents[1] / "broken").touch()
    said = output(run, code=1)
    assert said.splitlines()[-1].startswith("FAILED: lint and types, after ")
    assert "made test" not in said


def test_a_check_that_fails_is_not_taken_for_programs_that_are_not_built(run: Path) -> None:
    (run.parents[1] / "tools" / "kubernetes" / "programs.py").write_text("raise OSError")
    said = output(run, code=1)
    assert said.splitlines()[-1].startswith("FAILED: kubernetes: got 1 of ")
    assert "made test-aks" not in said


def test_every_part_has_a_budget(run: Path) -> None:
    assert "WARNING" not in output(run, CI_KUBERNETES="1")
