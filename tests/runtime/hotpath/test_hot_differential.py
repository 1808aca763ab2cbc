"""The hot path answers and writes what MLflow does, whatever it is asked; and the comparison finds what does not."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.runtime.hotpath.asking import Request
from tests.runtime.hotpath.comparing import Sides
from tests.runtime.hotpath.faults import FAULTS
from tests.runtime.hotpath.generating import SEQUENCES


def first_difference(sides: Sides, sequences: int) -> list[str]:
    """Compare so many sequences, the same ones each time, until one differs."""
    found: list[str] = []

    @settings(
        max_examples=sequences,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(SEQUENCES)
    def compare(requests: list[Request]) -> None:
        if not found:
            found.extend(sides.differences(requests))

    compare()
    return found


def test_random_sequences_are_answered_and_stored_as_by_mlflow(sides: Sides) -> None:
    assert first_difference(sides, 40) == []
    # A hot path that passes everything on is right and of no use.
    assert sides.answered > sides.requests / 4, (sides.answered, sides.requests)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_seeded_fault_is_found(sides: Sides, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    sides.renew()
    try:
        assert first_difference(sides, 120) != []
    finally:
        monkeypatch.undo()
        sides.renew()
