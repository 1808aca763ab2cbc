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
from tests.support import warm

JSON = command.Written(form=command.Form.JSON)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return stub_repository.written(tmp_path)


def leftovers(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "temporary").iterdir() if path.name.startswith("mlflow-platform")]


def test_a_preview_says_that_it_is_offline_and_what_comes(
    tmp_path: Path, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stub_repository.content(repository)
    assert (
        command.show("dev", offline=True, written=command.Written(changes=True), repository=repository) == ExitCode.DONE
    )
    out = capfd.readouterr().out
    assert out.startswith("OFFLINE: the engine is real, Azure is a stand-in; no subscription, no login")
    assert f"{PLACEHOLDER_DIGEST} is a placeholder" in out
    assert "dev: routine  first deployment, 1 resource" in out
    assert "create resources:ResourceGroup" in out
    assert stub_repository.content(repository) == before
    assert leftovers(tmp_path) == []


def test_a_document_is_all_that_json_prints(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.show("dev", JSON, offline=True, repository=repository) == ExitCode.DONE
    printed = capfd.readouterr()
    assert json.loads(printed.out)["counts"] == {"create": 1}
    assert printed.err.startswith("OFFLINE: ")


def test_the_engines_own_output_has_every_property(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.show("dev", offline=True, diff=True, repository=repository) == ExitCode.DONE
    assert re.search(r'owner *: "platform"', capfd.readouterr().out)


def test_a_program_that_fails_is_not_computed(
    tmp_path: Path, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "__main__.py").write_text("raise ValueError('a program that fails')")
    assert command.show("dev", offline=True, repository=repository) == ExitCode.FAILED
    assert "dev: not computed" in capfd.readouterr().out
    assert leftovers(tmp_path) == []


def commit(repository: Path) -> None:
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message=one"],
    ):
        subprocess.run(["git", "-C", str(repository), *arguments], check=True)


@pytest.fixture
def committed(repository: Path) -> Path:
    commit(repository)
    return repository


def test_what_changed_since_a_revision_is_all_that_is_described(
    tmp_path: Path, committed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = committed / "stacks" / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("tier: one", "tier: two"))
    before = stub_repository.content(committed)
    shown = command.show(
        "dev", command.Written(form=command.Form.JSON), offline=True, against="HEAD", repository=committed
    )
    assert shown == ExitCode.DONE
    text = json.loads(capfd.readouterr().out)
    assert text["changes"] == [{"resources": ["group"], "change": "tags.tier: one → two"}]
    assert text["title"] == "tag tier of 1 resource"
    assert (text["source"]["against"], text["source"]["head"][-1]) == ("HEAD", "+")
    assert stub_repository.content(committed) == before
    assert leftovers(tmp_path) == []


def test_nothing_changed_since_a_revision(committed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shown = command.show("dev", offline=True, against="HEAD", repository=committed)
    assert shown == ExitCode.DONE
    assert "dev: no change" in capfd.readouterr().out


def test_a_stack_that_the_revision_has_not_is_all_new(committed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stacks = committed / "stacks"
    (stacks / "Pulumi.new.yaml").write_text((stacks / "Pulumi.dev.yaml").read_text())
    assert command.show("new", offline=True, against="HEAD", repository=committed) == ExitCode.DONE
    printed = capfd.readouterr()
    assert "HEAD has no stack new: everything is new." in printed.err
    assert "first deployment" in printed.out


def test_a_revision_that_cannot_be_brought_up_is_described(committed: Path) -> None:
    (committed / "__main__.py").write_text("raise ValueError('a program that fails')")
    commit(committed)
    with pytest.raises(CommandError, match=r"(?s)HEAD cannot be brought up offline.*a program that fails") as text:
        command.show("dev", offline=True, against="HEAD", repository=committed)
    assert text.value.code == ExitCode.FAILED


@pytest.mark.parametrize("revision", ["no-such", "--upload-pack=x", "HEAD:README.md"])
def test_what_is_no_revision_is_refused(committed: Path, revision: str) -> None:
    with pytest.raises(CommandError, match="give a branch, a tag or a commit") as refused:
        command.show("dev", offline=True, against=revision, repository=committed)
    assert refused.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("stack", "message"), [("local", "`make up` runs it on this machine"), ("qa", "there are dev. Give one of these.")]
)
def test_a_stack_that_has_no_offline_preview_is_refused(repository: Path, stack: str, message: str) -> None:
    with pytest.raises(CommandError, match=re.escape(message)) as refused:
        command.show(stack, offline=True, repository=repository)
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
    environment = os.environ | warm.COLD | {"TMPDIR": str(tmp_path / "temporary")}
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


def test_a_revision_without_offline_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["preview", "prod", "--against", "HEAD"]) == ExitCode.USAGE
    assert "Run: mlflow-platform preview prod --offline --against HEAD" in capsys.readouterr().err
