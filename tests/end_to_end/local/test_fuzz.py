"""A short part of `make fuzz`, the same requests each time, on the stack that the tests share."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.fuzz.fuzzing import fuzz
from tests.support.local_stack import RunningStack

SECONDS = 20
SEED = 1


def test_no_request_fails_here_that_stock_mlflow_answers(stack: RunningStack, tmp_path: Path) -> None:
    found = fuzz(stack, tmp_path, seconds=SECONDS, first=SEED, report=print)
    assert found.requests > 100
    assert found.classes["2xx"] > 0
    assert [*found.ours.values()] == [], found.ours
    assert found.broken == []
