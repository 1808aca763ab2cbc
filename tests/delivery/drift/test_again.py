"""`drift --again`: what Azure shows for a moment alone is no drift."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from delivery.drift.check import check
from delivery.pulumi.engine import Engine, Result
from tests.support.previews import STACK, preview, step

ACCOUNT = "storage:StorageAccount"
STAYS = step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}})
PASSES = step("update", ACCOUNT, "other", {"tags": {"a": "1"}}, {"tags": {"a": "2"}})


@dataclass(frozen=True)
class Looks:
    """An engine that sees these differences, one document a look."""

    documents: Iterator[Any]

    def run(self, *_: str) -> Result:
        return Result(code=0, out=json.dumps(next(self.documents)), text="")


def seen(*documents: Any) -> tuple[list[str], list[float]]:
    slept: list[float] = []
    engine = cast(Engine, Looks(iter(documents)))
    found = check(engine, STACK, again=60, sleep=slept.append)
    return [line.step.name for line in found.lines], slept


def test_only_what_a_second_look_sees_as_well_is_drift() -> None:
    assert seen(preview(STAYS, PASSES), preview(STAYS)) == (["store"], [60])


def test_without_a_difference_there_is_no_second_look() -> None:
    assert seen(preview()) == ([], [])
