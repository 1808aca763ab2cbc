"""Commands of the engine with a stub in its place: what is passed on, what is read, and what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from delivery.outcome import ExitCode
from delivery.pulumi import installation
from delivery.pulumi.engine import Engine, EngineError, Result
from delivery.pulumi.installation import REPOSITORY, file_backend, shell, state_file
from delivery.terminal import guard
from tests.support.process_guard import refusing_processes
from tools.pulumi import kinds

_STUB = """#!/bin/sh
trap 'echo interrupted >> ended; exit 0' INT
case $1 in
  echo) shift; echo "$PWD"; echo "$@"; echo aside >&2 ;;
  fail) echo 'error: no such stack' >&2; exit 255 ;;
  tell) echo printed; echo aside >&2; for last; do :; done
    printf '{"n": 1}\\n{"n": ' > "$last"; sleep 0.5; printf '2}\\n' >> "$last"; exit 3 ;;
  wait) touch waiting; while :; do sleep 0.05; done ;;
esac
"""

_HANDLES_WHAT_IS_IGNORED = """
import os, pathlib, signal, sys, time
started_by = os.getppid()
def end(*_):
    pathlib.Path("ended").write_text("interrupted\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, end)
pathlib.Path("group").write_text(str(os.getpgrp()))
pathlib.Path("waiting").touch()
while os.getppid() == started_by:
    time.sleep(0.05)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(_STUB)
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.defpath])
    # The search for a program uses the PATH of this process where the environment names none.
    return Engine(folder=tmp_path, environment={"PATH": path}, options=("--stack", "dev"))


Started = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def started(engine: Engine) -> Iterator[Started]:
    """Starts a process that handles signals as the command line does, and runs its last line with `engine`."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*lines: str) -> subprocess.Popen[bytes]:
        program = [
            "import os, pathlib, signal, subprocess, sys, time",
            "from delivery import cli; from delivery.pulumi.engine import Engine",
            "signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGTERM, cli._terminated)",
            f"engine = Engine(folder=pathlib.Path({str(engine.folder)!r}), environment={dict(engine.environment)!r})",
            *lines[:-1],
            f"try: {lines[-1]}",
            f"except KeyboardInterrupt: sys.exit({ExitCode.INTERRUPTED.value})",
        ]
        line = [sys.executable, "-c", "\n".join(program)]
        running.append(subprocess.Popen(line, cwd=REPOSITORY, start_new_session=True))
        return running[-1]

    yield start
    for one in running:
        with suppress(ProcessLookupError):  # nothing of its group is left
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def test_a_command_runs_in_its_folder_and_all_that_it_prints_is_read(engine: Engine) -> None:
    result = engine.run("echo", "--json")
    assert result.out.splitlines() == [str(engine.folder), "--json --stack dev --non-interactive --color=never"]
    assert result == Result(code=0, out=result.out, text=f"{result.out}aside\n")


def test_a_command_that_has_to_succeed_says_what_it_printed(engine: Engine) -> None:
    assert engine.run("fail").code == 255
    with pytest.raises(EngineError, match=r"`pulumi fail --stack dev` failed with exit code 255.\nerror: no such") as e:
        engine.must("fail")
    assert e.value.code == ExitCode.FAILED


def test_a_command_on_the_terminal_gives_its_exit_code(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    assert engine.show("echo") == 0
    assert "--stack dev --non-interactive" in capfd.readouterr().out
    assert engine.show("fail") == 255


def test_the_lines_of_a_command_are_passed_on_as_they_come(engine: Engine) -> None:
    lines: list[str] = []
    assert engine.pass_on("echo", line=lines.append) == 0
    assert lines == [f"{engine.folder}\n", "--stack dev --non-interactive\n", "aside\n"]
    assert engine.pass_on("fail", line=lines.append) == 255


def test_no_line_of_the_engine_is_a_command_of_the_agent(
    engine: Engine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    guard({"TF_BUILD": "True"})
    assert engine.show("echo", "##vso[task.complete]") == 0
    printed = capfd.readouterr()
    assert "# #vso[task.complete]" in printed.out
    assert "##vso" not in printed.out + printed.err


def test_the_events_of_a_command_are_passed_on_whole_and_its_output_is_kept(engine: Engine) -> None:
    events: list[object] = []
    result = engine.follow("tell", event=events.append)
    assert events == [{"n": 1}, {"n": 2}]
    assert (result.code, sorted(result.text.split())) == (3, ["aside", "printed"])
    assert engine.follow("fail", event=events.append).text == "error: no such stack\n"


def test_a_command_that_takes_too_long_is_ended(engine: Engine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        engine.run("wait", timeout=0.5)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)], ids=str
)
@pytest.mark.parametrize(
    "how", ["show('wait')", "run('wait')", "follow('wait', event=print)", "pass_on('wait', line=print)"]
)
def test_what_ends_this_process_ends_the_engine_in_good_order(
    engine: Engine, started: Started, sent: signal.Signals, code: int, how: str
) -> None:
    running = started(f"engine.{how}")
    while not (engine.folder / "waiting").exists():
        assert running.poll() is None
    if sent is signal.SIGINT:
        os.killpg(running.pid, sent)  # as a terminal does: to the whole group
    else:
        running.send_signal(sent)
    assert running.wait(timeout=60) == code
    assert (engine.folder / "ended").read_text() == "interrupted\n"


def test_ctrl_c_that_this_process_ignores_is_not_heard_by_the_engine(engine: Engine, started: Started) -> None:
    # A shell cannot handle what it was started to ignore; the engine does.
    (engine.folder / "bin" / "pulumi").write_text(f"#!{sys.executable}\n{_HANDLES_WHAT_IS_IGNORED}")
    running = started("signal.signal(signal.SIGINT, signal.SIG_IGN)", "engine.show('wait')")
    while not (engine.folder / "waiting").exists():
        assert running.poll() is None
    # What Ctrl-C is sent to.
    assert (engine.folder / "group").read_text() != str(running.pid)
    os.killpg(running.pid, signal.SIGINT)
    assert not (engine.folder / "ended").exists()
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=60) == ExitCode.TERMINATED
    assert (engine.folder / "ended").read_text() == "interrupted\n"


def test_what_ends_this_process_while_the_engine_starts_ends_the_engine_too(engine: Engine, started: Started) -> None:
    running = started(
        "start = subprocess.Popen._execute_child",
        "def late(*all): start(*all); time.sleep(1); os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)",
        "subprocess.Popen._execute_child = late",
        "engine.show('wait')",
    )
    assert running.wait(timeout=60) == ExitCode.TERMINATED
    assert (engine.folder / "ended").read_text() == "interrupted\n"


def test_a_signal_that_comes_before_the_first_output_is_read_ends_the_engine_too(
    engine: Engine, started: Started
) -> None:
    running = started(
        "read = subprocess.Popen._communicate; waiting = engine.folder / 'waiting'",
        "def late(*all):",
        "    subprocess.Popen._communicate = read",
        "    while not waiting.exists(): time.sleep(0.01)",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    return read(*all)",
        "subprocess.Popen._communicate = late",
        "engine.run('wait')",
    )
    assert running.wait(timeout=60) == ExitCode.TERMINATED
    assert (engine.folder / "ended").read_text() == "interrupted\n"


@pytest.mark.parametrize("sent", [["SIGTERM", "SIGINT"], ["SIGTERM", "SIGTERM"]], ids=" ".join)
def test_the_engine_is_interrupted_once(engine: Engine, started: Started, sent: list[str]) -> None:
    running = started(
        "interrupt = subprocess.Popen.send_signal",
        "def counted(child, number): again(); interrupt(child, number)",
        f"def again(): [os.kill(os.getpid(), signal.{sent[1]}) for _ in range(2)]",
        "subprocess.Popen.send_signal = counted",
        "engine.run('wait')",
    )
    while not (engine.folder / "waiting").exists():
        assert running.poll() is None
    running.send_signal(getattr(signal, sent[0]))
    assert running.wait(timeout=60) == ExitCode.TERMINATED
    assert (engine.folder / "ended").read_text() == "interrupted\n"


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)], ids=str
)
def test_a_signal_that_comes_while_the_handlers_are_put_back_is_handled_and_leaves_them_so(
    engine: Engine, started: Started, sent: signal.Signals, code: int
) -> None:
    running = started(
        "put = signal.signal; sent = []",
        "def late(number, handler):",
        "    held = put(number, handler)",
        "    if handler is signal.default_int_handler and not sent:",
        "        sent.append(number)",
        f"        os.kill(os.getpid(), {sent})",
        "    return held",
        "signal.signal = late",
        "def back(): return signal.getsignal(signal.SIGTERM) is cli._terminated",
        "def run():",
        "    try: engine.show('echo')",
        "    finally: back() or print('the handler of SIGTERM is not back') or os._exit(99)",
        "run()",
    )
    assert running.wait(timeout=60) == code


def test_an_engine_that_is_there_is_found_without_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = kinds.Engine(directory=tmp_path, version="3.274.1", source="build")
    monkeypatch.setattr(installation, "at_hand", lambda choice, _: there if choice == "build" else None)
    monkeypatch.setenv("PULUMI_ENGINE", "build")
    with refusing_processes() as refused:
        assert installation.engine_directory.__wrapped__() == tmp_path
    assert refused == []


def test_a_backend_of_files_keeps_everything_in_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.pulumi.installation.engine_directory", lambda: Path("/engine"))
    made = file_backend(home=tmp_path / "home", state=tmp_path / "state", environ={"PATH": "/bin"})
    assert made["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/engine", "/bin"]
    assert made["PULUMI_HOME"] == str(tmp_path / "home")
    assert made["PULUMI_BACKEND_URL"] == f"file://{tmp_path / 'state'}?metadata=skip"
    assert made["PULUMI_CONFIG_PASSPHRASE"] == ""
    assert state_file(tmp_path, "p", "s") == tmp_path / ".pulumi" / "stacks" / "p" / "s.json"


def test_exports_survive_the_eval_of_a_shell() -> None:
    value = 'it\'s $HOME; "x" y'
    done = subprocess.run(
        ["/bin/sh", "-c", f'{shell({"VALUE": value})}\nprintf %s "$VALUE"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == value
