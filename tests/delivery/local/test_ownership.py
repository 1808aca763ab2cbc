"""A local stack uses and removes what it made, and nobody else's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.cli import run
from delivery.local import lifecycle, ownership
from delivery.local.configuration import REPOSITORY, LocalStack
from delivery.outcome import CommandError, ExitCode
from delivery.pulumi import installation
from delivery.pulumi.engine import Engine
from infra.settings.model import SettingsError, parse

OF_A_STACK = ("data", "logs", "processes", "pulumi", "pulumi-home", "spool", "supervisor")


def configured(folder: Path, root: Path) -> Path:
    file = folder / "Pulumi.local.yaml"
    file.write_text(f"config:\n  mlflow-platform:profile: local\n  mlflow-platform:local: {{stateDirectory: {root}}}\n")
    return file


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "content").write_text("content")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    root = tmp_path / "precious"
    fill(root, "photos", "data")
    return root


@pytest.mark.parametrize("command", [["up", "--no-smoke"], ["destroy", "--yes"], ["env"]], ids=" ".join)
def test_a_folder_with_files_of_somebody_else_is_refused_and_stays(
    command: list[str], precious: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(precious.rglob("*"))
    assert run([*command, "--config-file", str(configured(tmp_path, precious))]) == ExitCode.FAILED
    assert sorted(precious.rglob("*")) == before
    assert f"got {precious}, which holds 'data', 'photos' and was made by no local stack" in capsys.readouterr().err


def test_down_leaves_a_folder_alone_that_no_stack_made(
    precious: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(precious.rglob("*"))
    assert run(["down", "--config-file", str(configured(tmp_path, precious))]) == ExitCode.DONE
    assert sorted(precious.rglob("*")) == before
    assert "There is no local stack" in capsys.readouterr().out


def test_destroy_removes_what_the_stack_made_and_says_what_it_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = LocalStack(tmp_path / "Pulumi.local.yaml", tmp_path / "state", 5500)
    ownership.claim(stack.root)
    fill(stack.root, *OF_A_STACK)
    fill(stack.root, "notes")
    fill(tmp_path, "elsewhere")
    (stack.root / "link").symlink_to(tmp_path / "elsewhere")
    commands: list[str] = []

    def show(_: Engine, command: str, *__: str) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(Engine, "show", show)
    monkeypatch.setattr(installation, "engine_directory", lambda: tmp_path)
    monkeypatch.setattr(lifecycle, "remove_all", lambda _: None)  # the containers, of which there are none
    monkeypatch.setattr(lifecycle, "select", lambda *_: None)
    assert lifecycle.destroy(stack, confirmed=True) == ExitCode.DONE
    assert commands == ["destroy"]
    assert sorted(path.name for path in stack.root.iterdir()) == ["link", "notes", "update.lock"]
    assert (tmp_path / "elsewhere" / "content").exists()
    assert f"Left in {stack.root}: 'link', 'notes', which no stack made." in capsys.readouterr().out


def test_what_a_stack_made_is_all_that_its_layout_names(tmp_path: Path) -> None:
    assert ownership.made(tmp_path) == {*OF_A_STACK, ownership.MARKER}


def test_a_link_of_the_stacks_name_goes_and_its_target_stays(tmp_path: Path) -> None:
    fill(tmp_path, "disk")
    root = tmp_path / "state"
    ownership.claim(root)
    (root / "data").symlink_to(tmp_path / "disk")
    assert ownership.remove(root) == []
    assert (tmp_path / "disk" / "content").exists()


@pytest.mark.parametrize("stage", ["missing", "empty", "destroyed", "begun", "claimed", "older"])
def test_a_folder_without_files_of_somebody_else_is_a_stacks(stage: str, tmp_path: Path) -> None:
    root = tmp_path / "state"
    if stage != "missing":
        root.mkdir()
    if stage == "destroyed":
        (root / "update.lock").touch()
    if stage == "begun":
        (root / "update.lock").touch()
        fill(root, "pulumi-home", "pulumi/.pulumi")
    if stage == "claimed":
        ownership.claim(root)
        fill(root, "data", "notes")
    if stage == "older":
        fill(root, "data", "pulumi/.pulumi/stacks/mlflow-platform/local.json")
        (root / "pulumi/.pulumi/stacks/mlflow-platform/local.json/content").unlink()
        (root / "pulumi/.pulumi/stacks/mlflow-platform/local.json").rmdir()
        (root / "pulumi/.pulumi/stacks/mlflow-platform/local.json").write_text("{}")
    assert ownership.owned(root) is (stage in ("claimed", "older"))
    ownership.claim(root)
    assert ownership.owned(root)


@pytest.mark.parametrize("kind", ["file", "within a stack's data", "below a file"])
def test_a_folder_that_cannot_be_a_stacks_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ownership.claim(tmp_path / "stack")
    root = {
        "file": tmp_path / "file",
        "within a stack's data": tmp_path / "stack" / "data" / "second",
        "below a file": tmp_path / "file" / "state",
    }[kind]
    with pytest.raises(CommandError, match=r"local\.stateDirectory: got .*; expected a folder in"):
        ownership.claim(root)


def test_what_other_commands_write_into_the_checkouts_own_folder_stands_beside_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "REPOSITORY", tmp_path)
    fill(tmp_path / ".local", "image", "plans")
    ownership.claim(tmp_path / ".local")
    assert ownership.remove(tmp_path / ".local") == ["image", "plans"]
    fill(tmp_path / ".local", "data")
    with pytest.raises(CommandError, match="which holds 'data' and was made by no local stack"):
        ownership.claim(tmp_path / ".local")


@pytest.mark.parametrize("folder", [".git", "stacks", "stacks/mine", "other", ".venv", "./stacks", "~"])
def test_a_folder_of_the_project_takes_no_new_stack_and_gives_up_an_old_one(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "REPOSITORY", tmp_path)
    root = (tmp_path / folder).resolve()
    with pytest.raises(CommandError, match=r"is a folder of the project other than \.local; expected a folder in"):
        ownership.claim(root)
    assert not root.exists()
    fill(root, "pulumi/.pulumi/stacks/mlflow-platform")
    (root / "pulumi/.pulumi/stacks/mlflow-platform/local.json").write_text("{}")
    ownership.claim(root)
    assert ownership.remove(root) == []


def test_settings_leave_a_stack_in_a_folder_of_the_project_to_be_stopped(tmp_path: Path) -> None:
    assert LocalStack.read(configured(tmp_path, Path("stacks/mine"))).root == REPOSITORY / "stacks" / "mine"


@pytest.mark.parametrize(
    "folder",
    [
        *("/", ".", "..", ".local/.."),
        *("a\nb", "a\0b", "/tmp/a\tb", "/tmp/a\x7fb", "/tmp/a\u202eb", str(REPOSITORY), str(REPOSITORY.parent)),
    ],
)
def test_the_project_the_folders_above_it_and_control_characters_are_refused(folder: str) -> None:
    with pytest.raises(
        SettingsError, match=r"local\.stateDirectory: .* is not allowed; allowed: a folder's"
    ) as refused:
        parse({"profile": "local", "local": {"stateDirectory": folder}}, "local")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("folder", [".local", ".local/second", "../beside", "/srv/mlflow"])
def test_other_folders_are_accepted(folder: str) -> None:
    settings = parse({"profile": "local", "local": {"stateDirectory": folder}}, "local")
    assert settings.local.state_directory == Path(folder)
