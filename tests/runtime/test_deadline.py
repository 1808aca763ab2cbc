"""Attempts are repeated until they succeed, with growing pauses, and no longer than the deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest

from mlflow_runtime.deadline import Deadline


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def deadline(self, within: float) -> Deadline:
        return Deadline(within, sleep=self.sleep, clock=lambda: self.now)


def fails(times: int) -> Callable[[], str]:
    left = iter(range(times))

    def action() -> str:
        for number in left:
            raise OSError(f"reason {number}\nmore of it")
        return "done"

    return action


def test_what_works_at_once_takes_no_time() -> None:
    time = Time()
    assert time.deadline(0).attempt(fails(0), retried=(OSError,), what="it") == "done"
    assert time.pauses == []


def test_failures_are_repeated_and_logged_in_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    time = Time()
    assert time.deadline(60).attempt(fails(6), retried=(OSError,), what="the server") == "done"
    assert all(early <= late for early, late in pairwise(time.pauses))
    assert time.pauses[0] < time.pauses[-1] == 5
    assert caplog.messages[0] == "waiting for the server, 60 s left: reason 0"
    assert len(caplog.messages) == 6


def test_at_the_deadline_the_last_failure_is_raised_and_attempts_share_it() -> None:
    time = Time()
    deadline = time.deadline(20)
    with pytest.raises(OSError, match="reason"):
        deadline.attempt(fails(1000), retried=(OSError,), what="it")
    assert time.now == 20
    with pytest.raises(OSError, match="reason 0"):
        deadline.attempt(fails(1), retried=(OSError,), what="it")
    assert time.now == 20


def test_any_other_failure_is_raised_at_once() -> None:
    time = Time()
    with pytest.raises(OSError, match="reason 0"):
        time.deadline(60).attempt(fails(1), retried=(KeyError,), what="it")
    assert time.pauses == []
