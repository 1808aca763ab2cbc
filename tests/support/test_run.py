"""The test run itself: its guard against processes, its interrupts, its budgets, and the parts of `.ci/run`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

from tests.support.process_guard import ProcessRefusedError, refusing_processes

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = (
    *("pyproject.toml", "tests/conftest.py"),
    *(f"tests/support/{name}.py" for name in ("bytecode", "schedule", "ports", "issued")),
)
GUARD = "tests/support/process_guard.py"
WARM = "tests/support/warm"
CAUGHT = """
import subprocess
def test_that_hides_it():
    try:
        subprocess.run(["true"])
    except BaseException:
        pass
"""
FIXTURE = """
import os, pytest
@pytest.fixture(scope="module")
def forked():
    return os.posix_spawn("/bin/true", ["true"], {})
def test_with_a_fixture(forked):
    pass
"""
INTERRUPTED = """
import signal
def test_interrupts_work():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""

SHOWN = """
import secrets
from tests.support import issued
def test_shows_what_was_issued():
    token = secrets.token_urlsafe(32)
    issued.note([token])
    print("here:", token)
"""

WHERE = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(10))
def test_where(number):
    path = pathlib.Path(__file__)
    print(f"{path.parent.name}/{path.stem} on {os.environ['PYTEST_XDIST_WORKER']}")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the parts of the run, a budget for its one folder, and no test yet."""
    for name in (*COPIED, GUARD):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, target)
    shutil.copytree(REPOSITORY / WARM, tmp_path / WARM)
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "budgets").write_text("0 tests/infra\n")
    (tmp_path / "runtime").mkdir()
    return tmp_path


def ran(checkout: Path, source: str, *arguments: str, ignoring: str = "", folder: str = "infra") -> tuple[int, str]:
    """Run one test file of tests/infra, which promises to start no process."""
    file = checkout / "tests" / folder / "test_one.py"
    file.parent.mkdir()
    file.write_text(source)
    return again(checkout, *arguments, ignoring=ignoring)


def again(checkout: Path, *arguments: str, ignoring: str = "") -> tuple[int, str]:
    """Run the tests that are in a checkout."""
    line = f'trap "" {ignoring}; exec "$@"' if ignoring else 'exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("start", "event"),
    [
        (lambda: subprocess.Popen(["true"]), "subprocess.Popen true"),
        (os.fork, "os.fork"),
        (lambda: os.posix_spawn("/bin/true", ["true"], {}), "os.posix_spawn /bin/true"),
        (lambda: os.system("true"), "os.system true"),  # noqa: S605
    ],
    ids=["Popen", "fork", "posix_spawn", "system"],
)
def test_the_guard_refuses_each_way_to_start_a_process(start: object, event: str) -> None:
    assert callable(start)
    with refusing_processes() as refused, pytest.raises(ProcessRefusedError):
        start()
    assert [one.replace("b'true'", "true") for one in refused] == [event]
    subprocess.run(["true"], check=True)


@pytest.mark.parametrize("source", [CAUGHT, FIXTURE], ids=["caught", "fixture"])
def test_a_quick_test_that_starts_a_process_fails_by_its_name(checkout: Path, source: str) -> None:
    code, said = ran(checkout, source, "-m", "not processes")
    assert code == 1, said
    assert "tests/infra/test_one.py::test_" in said
    assert "STARTS_PROCESSES['tests/infra/test_one.py'] = True" in said


def test_the_workers_of_a_whole_run_compile_each_module_once(checkout: Path) -> None:
    """Also what no test imports, and tests as pytest takes them for its own."""
    modules = [checkout / "infra" / f"module_{number}.py" for number in range(4)]
    modules[0].parent.mkdir()
    for module in modules:
        module.write_text("VALUE = 1\n")
    test = checkout / "infra" / "test_left.py"
    test.write_text("def test_that_no_run_collects():\n    assert False\n")
    source = "import sys\ndef test_is_rewritten():\n    assert '@pytest_ar' in vars(sys.modules[__name__])\n"
    code, said = ran(checkout, source, "-n", "2", "tests/infra")
    assert code == 0, said
    assert not modules[0].with_name("__pycache__").exists()  # some tests alone: there is no need
    code, said = again(checkout, "-n", "2")
    assert code == 0, said
    compiled = [Path(importlib.util.cache_from_source(str(module))) for module in modules]
    assert all(file.exists() for file in compiled)
    assert rewrite._read_pyc(test, rewrite.get_cache_dir(test) / f"{test.stem}{rewrite.PYC_TAIL}") is not None


def test_another_folder_may_start_processes_and_is_not_quick(checkout: Path) -> None:
    code, said = ran(checkout, CAUGHT, folder="slow")
    assert code == 0, said
    deselected = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "not processes"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 deselected" in deselected.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")], ids=["1", "2"])
def test_interrupts_work_where_the_shell_ignores_them(checkout: Path, workers: tuple[str, ...]) -> None:
    code, said = ran(checkout, INTERRUPTED, *workers, ignoring="INT")
    assert code == 0, said


def test_the_files_of_a_group_stay_on_one_worker(checkout: Path) -> None:
    (checkout / ".ci" / "budgets").write_text("5 tests/infra\n5 tests/delivery/*\n")
    for folder in ("infra", "delivery"):
        for name in ("one", "two"):
            path = checkout / "tests" / folder / f"test_{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(WHERE)
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadscope", "-rP"]
    said = subprocess.run(
        [*line, "--no-loadscope-reorder"], cwd=checkout, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    workers = {folder: set(re.findall(rf"{folder}/test_\w+ on (gw\d)", said)) for folder in ("infra", "delivery")}
    assert {folder: len(found) for folder, found in workers.items()} == {"infra": 1, "delivery": 2}


def test_a_folder_that_outgrows_its_budget_is_named_and_fails_nothing(checkout: Path) -> None:
    code, said = ran(checkout, "import time\ndef test_slow():\n    time.sleep(1)\n", "--budgets")
    assert code == 0, said
    assert "WARNING: tests/infra: took 1 s; expected at most 0 s" in said
    assert said.splitlines()[-1].startswith("1 passed")


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """`.ci/run` and stand-ins for what it calls: `make lint` takes 2 s, `make test` fails where `broken` exists."""
    for name in (".ci/run", "tools/browser.sh", "tools/kubernetes/programs.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "tools/kubernetes/programs.py").write_text("raise SystemExit(3)")
    shutil.copy(REPOSITORY / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / ".ci" / "budgets").write_text("5 browser\n5 toolchain\n1 lint and types\n5 tests\n")
    make = 'case $1 in lint) sleep 2;; test) echo "3 passed"; ! [ -e broken ];; esac'
    for path, body in ((tmp_path / "tools/browser.sh", ":"), (tmp_path / "make", make), (tmp_path / "chromium", ":")):
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return tmp_path


def land(landing: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["bash", landing / ".ci" / "run"],
        env={"PATH": f"{landing}:{os.environ['PATH']}", "CI": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_a_landing_ends_with_the_times_of_its_parts_and_names_what_outgrew_its_budget(landing: Path) -> None:
    code, lines = land(landing)
    assert code == 0, lines
    assert "3 passed" in lines
    parts = [line for line in lines[lines.index("== parts") + 1 :] if not line.startswith("LEFT OUT: kubernetes")]
    assert [line.split("  ")[-1] for line in parts if "WARNING" not in line] == [
        "browser",
        "toolchain",
        "lint and types",
        "tests",
    ]
    (warning,) = (line for line in parts if "WARNING" in line)
    assert warning.startswith("WARNING: lint and types: took ")
    assert warning.endswith("expected at most 1 s, see .ci/budgets")


def test_a_part_without_a_budget_is_named(landing: Path) -> None:
    (landing / ".ci" / "budgets").write_text("5 browser\n5 toolchain\n9 lint and types\n")
    code, lines = land(landing)
    assert code == 0, lines
    assert "WARNING: tests: got no budget; expected a line `SECONDS tests` in .ci/budgets" in lines


def test_a_landing_that_fails_names_the_part_in_its_last_line(landing: Path) -> None:
    (landing / "broken").touch()
    code, lines = land(landing)
    assert code == 1
    assert lines[-1].startswith("FAILED: tests, after ")
    assert lines[-1].endswith("make test")


def test_a_test_that_shows_what_entra_issued_fails_and_shows_it_no_more(checkout: Path) -> None:
    code, said = ran(checkout, SHOWN, "-rP")
    assert code == 1
    assert "has a token or a code that Entra issued" in said
    assert "here:" not in said
