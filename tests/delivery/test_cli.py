"""The one command line: which commands there are, how fast they are listed, and how they end."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from delivery import cli
from delivery.outcome import EXIT_CODES, CommandError, ExitCode
from delivery.pulumi.installation import REPOSITORY
from tests.support import warm
from tests.support.command_line import mlflow_platform

# What makes a command slow to start, and no list of commands needs.
HEAVY = ("pulumi", "mlflow", "sqlalchemy", "psutil", "yaml", "grpc", "delivery.local", "infra", "components")
HELP_SECONDS = 1.0


def command(name: str) -> cli.LazyCommand:
    target, summary = cli.COMMANDS[name]
    return cli.LazyCommand(name, target, summary)


def test_the_list_of_commands_loads_none_of_them(tmp_path: Path) -> None:
    probe = (
        "import json, sys; from delivery import cli; code = cli.run(['--help']); "
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path)
    code, loaded = json.loads(done.stderr)
    assert code == ExitCode.DONE
    assert [name for name in loaded if name in HEAVY or name.startswith(tuple(f"{heavy}." for heavy in HEAVY))] == []
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in done.stdout] == []


def test_the_list_of_commands_appears_at_once(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(mlflow_platform("--help"), env=os.environ | warm.COLD, capture_output=True, check=True, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The time that it worked, not that it waited for other work on the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_SECONDS


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == ExitCode.DONE
    said = " ".join(capsys.readouterr().out.split())
    _, summary = cli.COMMANDS[name]
    assert summary in said
    assert "Example: " in said
    assert "mlflow-platform " in said.partition("Example: ")[2]
    assert EXIT_CODES in said


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_line_in_the_list_is_the_first_of_the_commands_own_help(name: str) -> None:
    assert command(name).load().help.splitlines()[0] == cli.COMMANDS[name][1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage: mlflow-platform"),
        (["stat"], "No such command 'stat'. Did you mean 'status'?"),
        (["status", "--jason"], "No such option: --jason"),
        (["status", "--config-file", "none.yaml"], "--config-file: none.yaml is not a file"),
        (["image"], "Usage: mlflow-platform image"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (CommandError("the reason"), ExitCode.FAILED, "the reason"),
        (CommandError("somebody else works", ExitCode.BUSY), ExitCode.BUSY, "somebody else works"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "Interrupted."),
        (SystemExit(ExitCode.TERMINATED), ExitCode.TERMINATED, ""),
    ],
)
def test_each_end_has_its_code_and_at_most_one_line(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_of(raised, monkeypatch) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.strip()) == ("", said)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_wrong_usage_of_each_command_is_a_document_for_a_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--json", "--no-such-option"]) == ExitCode.USAGE
    error = error_in(capsys)
    assert error["code"] == ExitCode.USAGE
    assert error["message"].startswith("No such option: --")
    assert error["remedy"] == f"mlflow-platform {name} --help"


@pytest.mark.parametrize(
    ("line", "message", "remedy"),
    [
        ("--json", "No such option: --json", "mlflow-platform --help"),
        ("stat --json", "No such command 'stat'. Did you mean 'status'?", "mlflow-platform --help"),
        ("preview --json", "Missing argument 'STACK'.", "mlflow-platform preview --help"),
        ("preview nope --json", "stack 'nope' has no file stacks/Pulumi.nope.yaml", "mlflow-platform preview --help"),
        ("preview nope --form json", "stack 'nope' has no file", "mlflow-platform preview --help"),
        ("preview prod --json --diff", "--diff: got it with the form json", "mlflow-platform preview prod --diff"),
        ("preview prod --json --against x", "--against: got 'x' without", "mlflow-platform preview prod --offline "),
        ("up nope --form=json", "stack 'nope' has no file", "mlflow-platform up --help"),
        ("up dev --json", "--approved: got nothing", "mlflow-platform preview dev"),
        ("drift nope --json", "stack 'nope' has no file", "mlflow-platform drift --help"),
        ("cost nope --json", "nope cannot be read:", "mlflow-platform cost --help"),
        ("doctor nope --json", "stack 'nope' has no file", "mlflow-platform doctor --help"),
        ("promote dev --json", "promote: got dev; expected FROM TO", "mlflow-platform promote --help"),
        ("status --json --config-file none.yaml", "--config-file: none.yaml is not a file", "mlflow-platform status -"),
    ],
)
def test_a_program_gets_the_message_and_the_next_command(
    line: str, message: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(line.split()) == ExitCode.USAGE
    error = error_in(capsys)
    assert error["message"].startswith(message)
    assert error["remedy"].startswith(remedy)


def error_in(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The error in the document on stdout; a person reads the same on stderr."""
    printed = capsys.readouterr()
    error: dict[str, Any] = json.loads(printed.out)["error"]
    assert {*error} == {"code", "message", "remedy"}
    assert printed.err == f"{error['message']}\n"
    return error


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_of(ZeroDivisionError(), monkeypatch)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)], ids=str
)
def test_a_signal_is_not_lost_where_nothing_can_be_raised(sent: signal.Signals, code: int) -> None:
    program = """
import os, signal, sys, time
from delivery import cli
class Quiet:
    def __del__(self):
        os.kill(os.getpid(), SENT)
def command(_):
    Quiet()
    time.sleep(60)
    return 0
cli.run = command
cli.main()
"""
    line = [sys.executable, "-c", program.replace("SENT", str(int(sent)))]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_what_else_nobody_can_raise_is_printed() -> None:
    program = "from delivery import cli\nclass A:\n    def __del__(self): 1 / 0\n"
    program += "cli.run = lambda _: A() and 0\ncli.main()"
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_it_works_without_a_stream(closed: str, tmp_path: Path) -> None:
    command = shlex.join(mlflow_platform("status", "--config-file", str(tmp_path / "none.yaml")))
    line = ["sh", "-c", f"{command} {closed}"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.USAGE
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == "" or "none.yaml is not a file" in done.stderr


def run_of(raised: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that raises this."""
    program = typer.Typer()

    @program.command()
    def fails() -> None:
        raise raised

    monkeypatch.setattr(cli.LazyCommand, "load", lambda _: typer.main.get_command(program))
    return cli.run(["status"])


def test_it_works_from_any_folder(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(f"config:\n  mlflow-platform:local:\n    stateDirectory: {tmp_path / 'state'}\n")
    done = subprocess.run(
        mlflow_platform("status", "--config-file", file.name),
        cwd=tmp_path,
        env=os.environ | warm.COLD,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (ExitCode.FAILED, "")
    assert done.stdout.strip() == "The stack is not up; `make up` brings it up."


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_can_be_loaded_from_any_folder(name: str, tmp_path: Path) -> None:
    command, cold = mlflow_platform(name, "--help"), os.environ | warm.COLD
    done = subprocess.run(command, cwd=tmp_path, env=cold, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.DONE, done.stderr
