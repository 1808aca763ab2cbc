"""A wait returns what it waited for, and says what did not come."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from tests.support.waiting import until


def refusing(times: int) -> Callable[[], str]:
    calls = count()

    def probe() -> str:
        if next(calls) < times:
            raise ConnectionRefusedError("nobody listens")
        return "here"

    return probe


def test_errors_that_count_as_not_yet_are_waited_out() -> None:
    assert until(refusing(3), "the server", not_yet=(OSError,), pause=0) == "here"


def test_another_error_ends_the_wait() -> None:
    with pytest.raises(ConnectionRefusedError):
        until(refusing(1), "the server", not_yet=(KeyError,), pause=0)


def test_what_never_comes_is_said_with_the_last_error() -> None:
    with pytest.raises(AssertionError, match=r"the server: not within 0 s; the last error: nobody listens"):
        until(refusing(9), "the server", 0, not_yet=(OSError,), pause=0)
