"""A promotion with the history that the real engine wrote, and the commands of the documentation."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from delivery import cli
from delivery.outcome import ExitCode
from delivery.promote import command, history
from delivery.promote.command import Way
from delivery.promote.history import Update
from delivery.promote.promotion import Request
from delivery.promote.release import Build, Release
from delivery.pulumi.engine import Engine
from delivery.pulumi.installation import file_backend, users_environment
from tests.delivery.promote import promoting
from tests.delivery.promote.promoting import a_release, committed, evidence, git, labels, set_release
from tests.support.plane import REPOSITORY

PROGRAM = """\
import pathlib

import pulumi

pulumi.export("digest", (pulumi.Config().get_object("image") or {}).get("digest"))
if pathlib.Path("broken").exists():
    raise ValueError("a program that fails")
"""
DOCUMENT = REPOSITORY / "docs" / "delivery.md"


def gates(checkout: Path, builds: list[Build], capfd: pytest.CaptureFixture[str], *accepts: str) -> dict[str, str]:
    """Promote dev's release to staging as a user does, to look only; return each gate's state."""
    request = Request(source="dev", target="staging", accepts=accepts)
    capfd.readouterr()
    command.run(request, builds, Way(folder=checkout, dry_run=True, as_json=True))
    return {gate["id"]: gate["state"] for gate in json.loads(capfd.readouterr().out)["gates"]}


def test_the_engines_own_history_and_preview_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout = promoting.written(tmp_path)
    (checkout / "__main__.py").write_text(PROGRAM)
    (checkout / ".gitignore").write_text("__pycache__/\n")
    file = checkout / "stacks" / "Pulumi.dev.yaml"
    file.write_text(file.read_text() + "  mlflow-platform:soakHours: 0\n")
    wanted = a_release(checkout, "a")
    set_release(checkout, "dev", wanted)
    for name, value in file_backend(home=tmp_path / "home", state=tmp_path / "state").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "state").mkdir()
    builds = [Build(digest=wanted.digest, labels=labels(wanted), number=number) for number in ("1", "2")]

    before = gates(checkout, builds, capfd)
    unknown = {name for name, state in before.items() if state == "not checked"}
    assert unknown == {"applied", "clean", "pending", "smoke", "soak", "alerts", "drift", "registry"}

    engine = Engine(folder=checkout, environment=users_environment())
    engine.must("stack", "init", "dev")
    committed(checkout, "The key of dev's secrets")
    engine.must("up", "--yes", "--skip-preview", "--message=by hand", "--stack=dev")
    (said,) = _history(engine)
    assert (said.kind, said.result, said.message, said.clean) == ("update", "succeeded", "by hand", True)
    assert (said.commit, said.release) == (git(checkout, "rev-parse", "HEAD"), wanted)
    after = gates(checkout, builds, capfd, "smoke", "alerts", "drift", "registry")
    assert {name for name, state in after.items() if state == "accepted"} == {"smoke", "alerts", "drift", "registry"}
    assert {name for name, state in after.items() if state not in ("accepted", "passed")} == set()

    (checkout / "broken").touch()
    assert engine.run("up", "--yes", "--skip-preview", "--stack=dev").code != 0
    broken = gates(checkout, builds, capfd)
    # What runs is what the history says, whatever the outputs of a failed update are.
    said, _ = _history(engine)
    assert (said.result, said.clean, said.release) == ("failed", False, wanted)
    # The checkout had a file of no commit.
    assert {name for name, state in broken.items() if state == "stopped"} == {"applied", "clean"}


def _history(engine: Engine) -> list[Update]:
    return history.read(json.loads(engine.must("stack", "history", "--json", "--stack=dev").out), promoting.PROJECT)


def commands() -> list[str]:
    """Those for one stack; test_next.py has the others."""
    found = re.findall(r"`(mlflow-platform promote [^`]+)`", DOCUMENT.read_text())
    assert len(found) >= 6
    return [line for line in found if "--next" not in line]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documentation_works(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout = promoting.written(tmp_path)
    dev = checkout / "stacks" / "Pulumi.dev.yaml"
    settings = "  mlflow-platform:tracking:\n    concurrency: 20\n  mlflow-platform:limits: {maxInFlight: 50}\n"
    dev.write_text(dev.read_text() + settings)
    committed(checkout, "Tune dev")
    for digit, stack in (("a", "prod"), ("b", "prod"), ("c", "staging"), ("d", "dev")):
        set_release(checkout, stack, a_release(checkout, digit))
    built = a_release(checkout, "e")
    words = shlex.split(line)[1:]
    wanted = _wanted(checkout, words, built)
    image = tmp_path / ".local" / "image" / "image.json"
    image.parent.mkdir(parents=True)
    image.write_text(json.dumps({"digest": wanted.digest, "labels": labels(wanted)}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "REPOSITORY", checkout)
    monkeypatch.setattr("delivery.promote.evidence.gathered", lambda *_: evidence(wanted))
    assert cli.run(words) == ExitCode.DONE, capfd.readouterr()
    pushed = [name for name in promoting.remote_branches(checkout) if name != "main"]
    assert len(pushed) == ("--dry-run" not in words)
    for branch in pushed:
        git(checkout, "fetch", "--quiet", "origin", branch)
        target = branch.split("/")[1]
        config = yaml.safe_load(git(checkout, "show", f"FETCH_HEAD:stacks/Pulumi.{target}.yaml"))["config"]
        assert config["mlflow-platform:image"]["digest"] == wanted.digest


def _wanted(checkout: Path, words: list[str], built: Release) -> Release:
    """The release that a command is about."""
    if "--rollback" in words:
        return a_release(checkout, "a")
    return built if words[1].endswith(".json") else promoting.read_release(checkout, words[1])
