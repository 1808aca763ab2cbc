"""A revert by a checkout that is ahead of what was applied: refused before the engine is let at Azure."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from delivery.drift import command
from delivery.drift.lines import drift
from delivery.outcome import CommandError
from delivery.preview.plan import read
from delivery.pulumi.engine import Engine, Result
from tests.support.previews import STACK, preview, same, step

ACCOUNT = "storage:StorageAccount"


class Planned:
    """An engine whose preview is this one."""

    def __init__(self, document: Any) -> None:
        self.document, self.shown = document, list[str]()

    def run(self, *_: str) -> Result:
        return Result(code=0, out=json.dumps(self.document), text="")

    def show(self, name: str, *_: str) -> int:
        self.shown.append(name)
        return 0


def reverted(monkeypatch: pytest.MonkeyPatch, *steps: Any) -> Planned:
    differs = step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}})
    monkeypatch.setattr(command, "check", lambda *_: drift(read(preview(differs))))
    engine = Planned(preview(*steps))
    command.bring_back(cast(Engine, engine), STACK, ["store"], confirmed=True)
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
    assert reverted(monkeypatch, same(ACCOUNT, "store"), other).shown == ["preview", "up"]
