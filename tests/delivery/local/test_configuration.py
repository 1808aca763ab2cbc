"""The local commands read a stack's file by the program's own model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from delivery.cli import run
from delivery.local import lifecycle
from delivery.local.configuration import REPOSITORY, LocalStack
from delivery.pulumi import installation
from delivery.pulumi.engine import EngineError
from infra.settings.access import AccessMode
from infra.settings.local import LocalSettings
from infra.settings.model import SettingsError, parse
from tests.support.command_line import mlflow_platform

HOST = "http://127.0.0.1"


def written(folder: Path, local: str) -> Path:
    path = folder / "Pulumi.local.yaml"
    path.write_text(f"config:\n  mlflow-platform:profile: local\n  mlflow-platform:local: {local}\n")
    return path


def test_a_file_without_local_settings_gives_the_models_defaults(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text("config:\n  mlflow-platform:profile: local\n")
    stack = LocalStack.read(path)
    assert stack.url == f"{HOST}:{LocalSettings().port_base}"
    assert stack.root == REPOSITORY / LocalSettings().state_directory


def test_what_the_file_gives_wins(tmp_path: Path) -> None:
    stack = LocalStack.read(written(tmp_path, "{portBase: '7000', stateDirectory: .local/../.local/other}"))
    assert (stack.port, stack.root) == (7000, REPOSITORY / ".local" / "other")


@pytest.mark.parametrize(
    "local",
    [
        "{portBase: many}",
        "{portBase: 80}",
        "{stateDirectory: ' '}",
        "{prot: 1}",
        "3",
        "{tokenSeconds: true}",
        "{stateDirectory: .}",
    ],
)
def test_a_wrong_value_has_the_programs_own_message(local: str, tmp_path: Path) -> None:
    path = written(tmp_path, local)
    with pytest.raises(SettingsError) as of_command:
        LocalStack.read(path)
    with pytest.raises(SettingsError) as of_program:
        parse({"profile": "local", "local": yaml.safe_load(local)}, "local")
    assert str(of_command.value) == str(of_program.value)


@pytest.mark.parametrize("text", ["config: [1, 2", "- 1", "config: 3"])
def test_a_file_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.local.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"line [12]: got .*; expected an object with the key config"):
        LocalStack.read(path)


def test_a_wrong_value_ends_a_command_with_1_and_no_traceback(tmp_path: Path) -> None:
    path = written(tmp_path, "{portBase: many}")
    done = subprocess.run(
        mlflow_platform("status", "--config-file", str(path)),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "local.portBase: 'many' is not allowed; allowed: a whole number from 1024" in done.stderr
    assert "Traceback" not in done.stderr
    remedy, option = re.findall("`(pulumi config [^`]+|--config-file [^`]+)`", done.stderr)
    environment = {**os.environ, **installation.file_backend(home=tmp_path / "home", state=tmp_path)}
    line = f"pulumi stack init local --no-select && {remedy} {option}"
    subprocess.run(["sh", "-c", line], cwd=REPOSITORY, env=environment, capture_output=True, check=True)
    assert "portBase" not in path.read_text()


def test_a_wrong_value_ends_the_dashboard_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", "--config-file", str(written(tmp_path, "{portBase: 80}")), "--json"]) == 1
    assert "local.portBase: 80 is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["up --no-smoke", "down", "destroy --yes", "status", "logs", "env", "token", "smoke", "dashboard --json"]
)
@pytest.mark.parametrize("profile", ["prod", "bootstrap", "[1]"])
def test_no_command_of_this_machine_takes_the_file_of_another_stack(
    line: str, profile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f"{{stateDirectory: {tmp_path / 'state'}}}")
    path.write_text(path.read_text().replace("profile: local", f"profile: {profile}"))
    before = path.read_bytes()
    assert run([*line.split(), "--config-file", str(path)]) == 1
    said = f"profile: {yaml.safe_load(profile)!r} is not allowed; allowed: local, as these commands work on this"
    printed = capsys.readouterr().err
    assert said in printed
    assert "pulumi config" not in printed
    assert (path.read_bytes(), [*tmp_path.iterdir()]) == (before, [path])


def test_whoever_reads_no_more_of_the_logs_fails_no_command(tmp_path: Path) -> None:
    path = written(tmp_path, f"{{stateDirectory: {tmp_path / 'state'}}}")
    log = LocalStack.read(path).layout.logs / "tracking.log"
    log.parent.mkdir(parents=True)
    log.write_text("a line\n" * 100_000)  # more than a pipe holds
    command = mlflow_platform("logs", "--lines", "100000", "--config-file", str(path))
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("part", "library"),
    [
        ("command", "pulumi"),
        # The smoke program, which signs in, saves a model: pickling looks into every module, and loads all 6,000 of it.
        ("sign_in", "pulumi_azure_native"),
    ],
)
def test_the_local_commands_start_without_a_library_that_they_do_not_use(part: str, library: str) -> None:
    program = f"import sys; import delivery.local.{part}; print({library!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_mode_that_is_refused_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, f"{{stateDirectory: {tmp_path / 'state'}}}")
    path.write_text(path.read_text() + "  mlflow-platform:access: {mode: entra}\n  mlflow-platform:teams: [team-x]\n")
    before = path.read_bytes()

    def show(_: object, *words: str) -> None:
        path.write_text(path.read_text().replace("[team-x]", "[]"))

    def refuse(*_: object) -> None:
        assert path.read_bytes() != before
        raise EngineError("prepare: team-x has data")

    monkeypatch.setattr(lifecycle, "_show", show)
    monkeypatch.setattr(lifecycle, "_follow", refuse)
    monkeypatch.setattr(lifecycle, "select", lambda *_: None)
    with pytest.raises(EngineError, match="team-x has data"):
        lifecycle.up(LocalStack.read(path), image=None, access=AccessMode.NONE, smoke_too=False)
    assert path.read_bytes() == before
