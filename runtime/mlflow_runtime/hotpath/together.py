"""Group commit: metrics of several runs that wait for the database at the same time go there as one statement.

They share a round trip, the statement's start and its commit. None is answered before that commit. A call waits for no
company: while fewer than AT_ONCE statements are under way it is sent at once, by itself. What comes meanwhile goes
next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

from mlflow_runtime.hotpath.connections import PLACE_SECONDS, Lost, NotConnected, Refused
from mlflow_runtime.hotpath.requests import Call
from mlflow_runtime.hotpath.statements import LOG_METRICS

PATIENCE_SECONDS: Final = 0.05
"""How long calls wait for the statements under way. Then the next group goes beside them: a commit takes far less, so
one of them may wait for a lock."""

AT_ONCE: Final = 2
"""Statements under way before calls wait for one of them."""

SENDERS: Final = 4
"""Statements under way at most, when calls have waited for too long."""

MOST_METRICS: Final = 64
"""Of a call that shares a statement, and of all that share one: a long batch is worth a commit of its own."""

Found = Sequence[Any] | None
"""What a call found, None where MLflow has to do it."""

Send = Callable[[Sequence[Call], str], Awaitable[Sequence[Found]]]
"""Does what calls of a workspace ask for, at most one of a run, in one transaction; all of it or, where it raises
Refused, nothing."""


@dataclass(kw_only=True, eq=False)
class _Asked:
    """A call that waits for its turn. `alone` says that it shares no statement any more."""

    call: Call
    workspace: str
    found: asyncio.Future[Found]
    alone: bool = False


class Together:
    """Calls that log metrics, sent by `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[_Asked] = []
        self._senders = 0
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, call: Call, workspace: str) -> Found:
        """Return what a call found, when it is committed.

        Raises what `send` raises, and NotConnected for a call that is not sent within PLACE_SECONDS.
        """
        if self._senders >= AT_ONCE:
            loop = asyncio.get_running_loop()
            asked = _Asked(call=call, workspace=workspace, found=loop.create_future())
            self._waiting.append(asked)
            if self._patience is None:
                self._patience = loop.call_later(PATIENCE_SECONDS, self._go_beside)
            waits = loop.call_later(PLACE_SECONDS, self._give_up, asked)
            try:
                return await asked.found
            finally:
                waits.cancel()
        self._senders += 1
        try:
            (found,) = await self._send([call], workspace)
            return found
        except (Lost, NotConnected):
            self._release()
            raise
        finally:
            self._next()

    def _next(self) -> None:
        """Have those that wait go on, in the place of a sender that is done."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        group = self._group()
        if not group:
            self._senders -= 1
            return
        loop = asyncio.get_running_loop()
        if self._waiting:
            self._patience = loop.call_later(PATIENCE_SECONDS, self._go_beside)
        # In a context of its own: a group belongs to none of its requests, whose ids would be in its log lines.
        task = loop.create_task(self._run(group), context=Context())
        self._tasks.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._tasks.discard)

    def _go_beside(self) -> None:
        self._patience = None
        if self._senders < SENDERS:
            self._senders += 1
            self._next()

    def _give_up(self, asked: _Asked) -> None:
        """Take out a call that was not sent in time. One that is under way is left: it may be committed."""
        if asked in self._waiting:
            self._waiting.remove(asked)
            _fail([asked], NotConnected("the statements before took too long"))

    def _group(self) -> Sequence[_Asked]:
        """Take what goes next: the call that waits longest, and those of other runs that fit beside it."""
        group, left = list[_Asked](), list[_Asked]()
        runs, metrics = set[str](), 0
        for asked in self._waiting:
            size = number_of_metrics(asked.call)
            first = not group
            beside = (
                group
                and not (asked.alone or group[0].alone)
                and asked.workspace == group[0].workspace
                and asked.call.run_id not in runs
                and metrics + size <= MOST_METRICS
            )
            if asked.found.done():  # its request was given up
                continue
            if first or beside:
                group.append(asked)
                runs.add(asked.call.run_id)
                metrics += size
            else:
                left.append(asked)
        self._waiting = left
        return group

    async def _run(self, group: Sequence[_Asked]) -> None:
        try:
            await self._sent(group)
        finally:
            self._next()

    async def _sent(self, group: Sequence[_Asked]) -> None:
        try:
            found = await self._send([asked.call for asked in group], group[0].workspace)
        except Refused as error:
            # Nothing of it is written. For a lock each alone would wait as long again.
            if len(group) == 1 or not error.for_values:
                _fail(group, error)
                return
            # The values of one of them are at fault: each goes next, by itself.
            for asked in group:
                asked.alone = True
            self._waiting[:0] = group
        except BaseException as error:
            _fail(group, error)
            if isinstance(error, (Lost, NotConnected)):
                self._release()
            elif not isinstance(error, Exception):
                raise
        else:
            for asked, each in zip(group, found, strict=True):
                if not asked.found.done():
                    asked.found.set_result(each)

    def _release(self) -> None:
        """Let nobody wait for a database that does not answer."""
        _fail(self._waiting, NotConnected("the statement before got no answer"))
        self._waiting = []


def shares(calls: Sequence[Call]) -> bool:
    """Whether a request asks for one call that may share a statement with others."""
    return len(calls) == 1 and calls[0].statement is LOG_METRICS and number_of_metrics(calls[0]) <= MOST_METRICS


def number_of_metrics(call: Call) -> int:
    """How many metrics a call logs."""
    return len(call.values[1])


def values(calls: Sequence[Call]) -> tuple[Sequence[Any], ...]:
    """The values of LOG_METRICS_OF_RUNS: each metric's run, and its columns as LOG_METRICS has them."""
    runs = [call.run_id for call in calls for _ in range(number_of_metrics(call))]
    columns = zip(*(call.values[1:] for call in calls), strict=True)
    return (runs, *([value for each in column for value in each] for column in columns))


def _fail(group: Sequence[_Asked], error: BaseException) -> None:
    for asked in group:
        if not asked.found.done():
            asked.found.set_exception(error)
