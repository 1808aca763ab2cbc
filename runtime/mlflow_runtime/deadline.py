"""Waiting for what takes a while: a server that starts later, or rights that take minutes to be in effect."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from mlflow_runtime.reasons import first_line

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0

_log = logging.getLogger(__name__)


class Deadline:
    """The time in which failed attempts are repeated: `within` seconds from when this is made, for all of them."""

    def __init__(
        self,
        within: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._end = clock() + within

    def attempt(self, action: Callable[[], T], *, retried: tuple[type[Exception], ...], what: str) -> T:
        """What `action` gives, called once at least and again after each of the `retried` exceptions.

        Pauses grow from half a second to five, and each is logged with `what` is waited for. When the time is over the
        last exception is raised.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                return action()
            except retried as error:
                remaining = self._end - self._clock()
                if remaining <= 0:
                    raise
                _log.info("waiting for %s, %.0f s left: %s", what, remaining, first_line(error))
            self._sleep(min(pause, remaining))
            pause = min(pause * 2, _LONGEST_PAUSE)
