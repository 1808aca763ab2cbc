"""The hot path answers and writes what MLflow does, whatever it is asked; and the comparison finds what does not."""

from __future__ import annotations

import pytest

from tests.runtime.hotpath.comparing import Sides, first_difference
from tests.runtime.hotpath.examples import EXAMPLES
from tests.runtime.hotpath.faults import FAULTS

# `python -m tests.benchmarks.hot_path` compares many more sequences, and seeds every fault.
SEQUENCES = 12
SEEDED = {
    "a new run is answered with its tags in another order": "new runs",
    "deleted runs take metrics": "a deleted run",
    "the last metric of a batch becomes the latest": "histories",
}
"""Faults, each with the example that finds it."""


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_an_example_is_answered_and_stored_as_by_mlflow(sides: Sides, example: str) -> None:
    assert sides.differences(EXAMPLES[example]) == []


def test_random_sequences_are_answered_and_stored_as_by_mlflow(sides: Sides) -> None:
    assert first_difference(sides, SEQUENCES) == []
    # A hot path that passes everything on is right and of no use.
    assert sides.answered > sides.requests / 4, (sides.answered, sides.requests)


@pytest.mark.parametrize("fault", SEEDED)
def test_a_seeded_fault_is_found(sides: Sides, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    sides.renew()
    try:
        assert sides.differences(EXAMPLES[SEEDED[fault]]) != []
    finally:
        monkeypatch.undo()
        sides.renew()
