"""The offline preview that users run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from delivery import cli
from delivery.offline_azure.product import PLACEHOLDER_DIGEST
from delivery.offline_azure.running import REPOSITORY
from delivery.outcome import CommandError, ExitCode
from delivery.preview import command
from tests.delivery.offline_azure import stub_repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return stub_repository.written(tmp_path)


def leftovers(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "temporary").iterdir() if path.name.startswith("mlflow-platform")]


def test_a_preview_says_first_and_last_that_it_is_offline(
    tmp_path: Path, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stub_repository.content(repository)
    code = command.show("dev", [], repository)
    lines = capfd.readouterr().out.strip().splitlines()
    assert code == 0, lines
    assert "OFFLINE" in lines[0]
    assert "no subscription, no login" in lines[0]
    assert "OFFLINE" in lines[-1]
    assert "no subscription, no login" in lines[-1]
    assert any("+ 2 to create" in line for line in lines)
    assert any("placeholder" in line and PLACEHOLDER_DIGEST in line for line in lines)
    assert stub_repository.content(repository) == before
    assert leftovers(tmp_path) == []


def test_a_document_is_all_that_json_prints(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.show("dev", ["--json"], repository) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["changeSummary"] == {"create": 2}
    assert printed.err.startswith("OFFLINE PREVIEW of stack dev")


def test_the_exit_code_is_the_engines(tmp_path: Path, repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (repository / "__main__.py").write_text("raise ValueError('a program that fails')")
    assert command.show("dev", [], repository) not in (ExitCode.DONE, ExitCode.USAGE, ExitCode.INTERRUPTED)
    out = capfd.readouterr().out
    assert "a program that fails" in out
    assert "OFFLINE" in out.strip().splitlines()[-1]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("stack", "message"), [("local", "`make up` runs it on this machine"), ("qa", "there are dev. Give one of these.")]
)
def test_a_stack_that_has_no_offline_preview_is_refused(repository: Path, stack: str, message: str) -> None:
    with pytest.raises(CommandError, match=re.escape(message)) as refused:
        command.show(stack, [], repository)
    assert refused.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)], ids=str
)
def test_a_stopped_preview_leaves_nothing(tmp_path: Path, repository: Path, sent: signal.Signals, code: int) -> None:
    started = tmp_path / "started"
    (repository / "__main__.py").write_text(
        f"import pathlib, time\npathlib.Path({str(started)!r}).write_text('')\ntime.sleep(600)\n"
    )
    line = (
        "import functools, pathlib, signal, sys; from delivery import cli; from delivery.preview import command; "
        # Where the tests themselves run in the background, interrupts are ignored from the start.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"command.show = functools.partial(command.show, repository=pathlib.Path({str(repository)!r})); "
        "sys.argv[1:] = ['preview', 'dev', '--offline']; cli.main()"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    running = subprocess.Popen(
        [sys.executable, "-c", line], cwd=REPOSITORY, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    while not started.exists():
        assert running.poll() is None
        time.sleep(0.1)
    if sent is signal.SIGINT:
        # As a terminal does: to the whole group.
        os.killpg(running.pid, sent)
    else:
        running.send_signal(sent)
    assert running.wait(timeout=120) == code
    assert leftovers(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def test_help_tells_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "--help"]) == ExitCode.DONE
    assert "no subscription and no login are needed" in " ".join(capsys.readouterr().out.split())


def test_without_offline_it_says_that_only_the_offline_one_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "prod"]) == ExitCode.USAGE
    assert "Run: mlflow-platform preview prod --offline" in capsys.readouterr().err
