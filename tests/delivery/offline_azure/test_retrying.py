"""The repeating of calls that failed in passing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.retrying import MOST_TRIES, repeated

THROTTLED = RefusedError(429, "TooManyRequests", "slow down")


def failing(error: RefusedError, times: int) -> tuple[Callable[[], str], list[int]]:
    asked: list[int] = []

    def ask() -> str:
        asked.append(len(asked))
        if len(asked) <= times:
            raise error
        return "done"

    return ask, asked


@pytest.mark.parametrize(
    "error",
    [THROTTLED, RefusedError(503, "ServerBusy", ""), RefusedError(409, "AnotherOperationInProgress", "")],
)
def test_what_passes_in_time_is_no_error(error: RefusedError) -> None:
    waits: list[float] = []
    ask, asked = failing(error, MOST_TRIES - 1)
    assert repeated(ask, waits.append) == "done"
    assert len(asked) == MOST_TRIES
    assert waits == sorted(set(waits))


def test_an_error_that_lasts_is_raised_in_the_words_of_azure() -> None:
    ask, asked = failing(THROTTLED, 99)
    with pytest.raises(RefusedError, match='Status=429 Code="TooManyRequests" Message="slow down"'):
        repeated(ask, lambda _: None)
    assert len(asked) == MOST_TRIES


@pytest.mark.parametrize("error", [RefusedError(409, "ScopeLocked", ""), RefusedError(403, "AuthorizationFailed", "")])
def test_what_does_not_pass_is_asked_once(error: RefusedError) -> None:
    ask, asked = failing(error, 99)
    with pytest.raises(RefusedError):
        repeated(ask, lambda _: None)
    assert len(asked) == 1
