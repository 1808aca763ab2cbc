"""A revert by a checkout that is ahead of what was applied: refused before the engine is let at Azure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from delivery.apply.record import Record, SmokeResult, last, parse
from delivery.drift import command
from delivery.drift.lines import drift
from delivery.outcome import CommandError, ExitCode
from delivery.preview.plan import read
from delivery.pulumi.engine import Engine, Result
from delivery.pulumi.installation import REPOSITORY
from tests.support.previews import STACK, preview, same, step

ACCOUNT = "storage:StorageAccount"


NOW = "b" * 40
BEFORE = Record(stack=STACK, plan="p", commit="a" * 40, image="sha256:1", engine="3.274.1", who="a@b")
REVERT = replace(BEFORE, plan="", who="eve", reverted="vault")


@dataclass(frozen=True)
class Planned:
    """An engine whose preview is this one, and whose last updates have the records BEFORE and REVERT."""

    document: Any
    folder: Path = REPOSITORY
    environment: Mapping[str, str] = field(default_factory=lambda: {"GITHUB_ACTOR": "ada"})
    options: tuple[str, ...] = ()
    shown: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *_: str) -> Result:
        return Result(code=0, out=json.dumps(self.document), text="")

    def must(self, *arguments: str) -> Result:
        updates = [
            {"kind": "update", "result": "succeeded", "message": one.message(), "startTime": when}
            for one, when in ((REVERT, "noon"), (BEFORE, "ten"))
        ]
        tags = {"mlflow-platform:smoke": json.dumps({"started": "ten", "result": "passed"})}
        answers = {"stack history": json.dumps(updates), "stack tag": json.dumps(tags), "version": "v3.274.1\n"}
        return Result(code=0, out=answers[" ".join(arguments[:2])], text="")

    def show(self, *arguments: str) -> int:
        self.shown.append(arguments)
        return 0


def reverted(monkeypatch: pytest.MonkeyPatch, *steps: Any) -> Planned:
    differs = step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}})
    monkeypatch.setattr(command, "check", lambda *_: drift(read(preview(differs))))
    monkeypatch.setattr(command, "_commit", lambda _: NOW)
    engine = Planned(preview(*steps))
    command.bring_back(cast(Engine, engine), STACK, ["store"], reason="Mallory's\nmistake", confirmed=True)
    return engine


def test_what_is_not_applied_yet_is_no_revert(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "this checkout makes, changes or removes apps, which is not applied to prod yet"
    with pytest.raises(CommandError, match=said):
        reverted(monkeypatch, same(ACCOUNT, "store"), step("create", "app:ContainerApp", "apps", None, {}))


def test_a_change_of_the_resource_itself_is_not_applied_by_a_revert(monkeypatch: pytest.MonkeyPatch) -> None:
    own = step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "1"}, "sku": "Premium"})
    with pytest.raises(CommandError, match=r"this checkout makes, changes or removes store, which is not applied to"):
        reverted(monkeypatch, own)


def test_a_setting_that_keeps_something_else_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    other = step("update", ACCOUNT, "other", {"a": 1}, {"a": 2})
    shown = reverted(monkeypatch, same(ACCOUNT, "store"), other).shown
    assert [name for name, *_ in shown] == ["preview", "up"]


def test_a_revert_is_in_the_history_with_who_from_what_to_what_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    _, up = reverted(monkeypatch, same(ACCOUNT, "store")).shown
    made = parse(up[up.index("--message") + 1])
    assert made == replace(BEFORE, plan="", who="ada", reverted="store", checkout=NOW, reason="Mallory's mistake")


def test_the_smoke_test_of_the_update_before_a_revert_counts() -> None:
    applied = last(cast(Engine, Planned(preview())))
    assert applied is not None
    assert applied.smoke is not None
    assert (applied.record, applied.smoke.result) == (BEFORE, SmokeResult.PASSED)


@pytest.mark.parametrize("reason", [f"ghp_{'0' * 36}", "of $(System.AccessToken)", "by hunter2-of-the-stack"])
def test_a_reason_with_a_secret_changes_nothing(reason: str) -> None:
    engine = Planned(preview(), environment={"STATE_PASSWORD": "hunter2-of-the-stack"})
    with pytest.raises(CommandError, match="--reason: got a text with a secret"):
        command.bring_back(cast(Engine, engine), STACK, ["store"], reason=reason, confirmed=True)
    assert engine.shown == []


@pytest.mark.parametrize(("option", "given"), [("--reason", {"reason": "a test"}), ("--yes", {"yes": True})])
def test_what_is_for_a_revert_is_refused_without_one(option: str, given: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match=f"{option}: got it without --revert; .* Run: mlflow-platform drift") as said:
        command.drift(["prod"], **given)
    assert said.value.code == ExitCode.USAGE
