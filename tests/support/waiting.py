"""Waiting in tests for an event, with a bound that is only there to end a broken test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    probe: Callable[[], T],
    what: str,
    seconds: float = 60,
    *,
    not_yet: tuple[type[Exception], ...] = (),
    pause: float = 0.02,
) -> T:
    """Return the first true value of `probe`, asked every `pause` seconds.

    An error of a `not_yet` class counts as not yet. Raise AssertionError that says `what` and the last such error.
    """
    deadline = time.monotonic() + seconds
    last: Exception | None = None
    while True:
        try:
            if value := probe():
                return value
        except not_yet as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; the last error: {last}")
        time.sleep(pause)
