"""Which errors the engine is asked to retry, and how long it waits."""

from __future__ import annotations

import pytest

from components.azure.retry import TRIES, retried, wait_seconds

BUSY = 'Status=409 Code="ServerIsBusy" Message="busy"'
OTHER = 'Status=403 Code="AuthorizationFailed" Message="no"'


@pytest.mark.parametrize(
    ("errors", "again"),
    [
        ([BUSY], True),
        ([OTHER], False),
        # The newest comes first.
        ([OTHER, BUSY], False),
        ([BUSY, OTHER], True),
        ([BUSY] * (TRIES - 1), True),
        ([BUSY] * TRIES, False),
    ],
)
def test_an_error_that_passes_is_retried_for_a_while(errors: list[str], again: bool) -> None:
    assert retried(errors, ("ServerIsBusy",)) is again


def test_the_waits_grow_and_end_after_ten_minutes() -> None:
    waits = [wait_seconds(failures) for failures in range(1, TRIES)]
    assert waits[:6] == [2, 4, 8, 16, 32, 60]
    assert 540 < sum(waits) < 660
