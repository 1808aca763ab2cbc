"""Ends work that takes too long or is interrupted, even while it waits for a server that never answers."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_SECONDS = 1.0


class StopRequested(BaseException):
    """The work has to end now; the message says why. No error, so that no `except Exception` swallows it.

    `interrupt` is the signal that asked for it, or None when the time is up.
    """

    def __init__(self, interrupt: signal.Signals | None, seconds: float) -> None:
        self.interrupt = interrupt
        why = f"interrupted by {interrupt.name}" if interrupt else f"time-out: not done after {seconds:g} s"
        super().__init__(why)


class Limits:
    """Raises `StopRequested` in the main thread when time is up or a signal asks the program to end.

    It is raised again every second until `release`, since code between here and there may swallow it. Interrupts
    that come outside of `watch` are ignored, so what happens there must be short. A signal that the process was
    started to ignore (nohup, a background job) stays ignored. Linux and macOS; main thread only.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._watching = False
        self._interruptible = False
        self._seconds = 0.0
        self._interrupt: signal.Signals | None = None

    def __enter__(self) -> Self:
        for number in (*INTERRUPTS, signal.SIGALRM):
            if number == signal.SIGALRM or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._strike)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def watch(self, seconds: float, *, interruptible: bool) -> None:
        """From now on stop after `seconds`, and on an interrupt where `interruptible`."""
        self._seconds, self._interruptible, self._interrupt = seconds, interruptible, None
        self._watching = True
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)

    def release(self) -> None:
        """Raise nothing any more."""
        self._watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _strike(self, number: int, _frame: FrameType | None) -> None:
        if not self._watching:
            return
        if number != signal.SIGALRM:
            if not self._interruptible:
                return
            self._interrupt = signal.Signals(number)
            signal.setitimer(signal.ITIMER_REAL, REPEAT_SECONDS, REPEAT_SECONDS)
        raise StopRequested(self._interrupt, self._seconds)
