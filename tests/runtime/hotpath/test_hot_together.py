"""Calls that wait share a statement: which ones, and what becomes of each when it fails."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from mlflow_runtime.hotpath import requests
from mlflow_runtime.hotpath import together as together_module
from mlflow_runtime.hotpath.connections import Lost, NotConnected, Refused
from mlflow_runtime.hotpath.requests import Call
from mlflow_runtime.hotpath.together import MOST_METRICS, SENDERS, Found, Together, shares, values

METRIC = {"key": "a", "value": 1.0, "timestamp": 1}
REQUEST = contextvars.ContextVar("request", default="none")


def metrics(run: str, number: int = 1) -> Call:
    """A call that logs so many metrics."""
    many = [{**METRIC, "step": step} for step in range(number)]
    (call,) = requests.log_batch({"run_id": run, "metrics": many})
    return call


@pytest.fixture(autouse=True)
def _one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "AT_ONCE", 1)


class Database:
    """Notes the runs of each statement, and answers when a test says so."""

    def __init__(self) -> None:
        self.statements: list[list[str]] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.contexts: list[str] = []
        self.refuses: set[str] = set()
        self.for_values = True
        self.inactive: set[str] = set()

    async def send(self, calls: Sequence[Call], workspace: str) -> Sequence[Found]:
        runs = [call.run_id for call in calls]
        self.statements.append([f"{workspace}/{run}" for run in runs])
        self.contexts.append(REQUEST.get())
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        if self.refuses.intersection(runs):
            raise Refused("no", for_values=self.for_values)
        return [None if run in self.inactive else [] for run in runs]

    async def answer(self, error: Exception | None = None) -> None:
        """Answer all statements that are under way."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.set_result(None) if error is None else each.set_exception(error)
        await turn()

    async def answer_all(self) -> None:
        while self.waiting:
            await self.answer()


async def turn() -> None:
    """Let everything go on as far as it goes."""
    for _ in range(10):
        await asyncio.sleep(0)


def under_load(check: Callable[[Database, Together], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with a database that is busy with a call for the run `busy`."""

    def run() -> None:
        async def inside() -> None:
            database = Database()
            together = Together(database.send)
            busy = asked(together, metrics("busy"))
            await turn()
            assert database.statements == [["w/busy"]]
            database.statements.clear()
            await check(database, together)
            await database.answer_all()
            await found(busy)
            assert (together._senders, together._waiting, together._patience) == (0, [], None)

        asyncio.run(asyncio.wait_for(inside(), 30))

    return run


def asked(together: Together, *calls: Call, workspace: str = "w") -> list[asyncio.Task[Found]]:
    return [asyncio.create_task(together.run(call, workspace)) for call in calls]


async def found(tasks: Sequence[asyncio.Task[Found]]) -> list[Any]:
    """What each found or raised, by the name of the error."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each).__name__ if isinstance(each, BaseException) else each for each in results]


@under_load
async def _those_that_wait(database: Database, together: Together) -> None:
    tasks = asked(together, *(metrics(run) for run in "abc"))
    await turn()
    assert database.statements == []
    database.inactive = {"b"}
    await database.answer()
    assert database.statements == [["w/a", "w/b", "w/c"]]
    await database.answer()
    assert await found(tasks) == [[], None, []]


@under_load
async def _one_of_a_run(database: Database, together: Together) -> None:
    tasks = asked(together, *(metrics(run) for run in "aabab"))
    await turn()
    await database.answer_all()
    assert database.statements == [["w/a", "w/b"], ["w/a", "w/b"], ["w/a"]]
    assert await found(tasks) == [[]] * 5


@under_load
async def _one_workspace(database: Database, together: Together) -> None:
    tasks = [*asked(together, metrics("a")), *asked(together, metrics("b"), workspace="other")]
    await turn()
    await database.answer_all()
    assert database.statements == [["w/a"], ["other/b"]]
    assert await found(tasks) == [[], []]


@under_load
async def _few_metrics(database: Database, together: Together) -> None:
    tasks = asked(together, metrics("a", MOST_METRICS), metrics("b"), metrics("c", MOST_METRICS - 1))
    await turn()
    await database.answer_all()
    assert database.statements == [["w/a"], ["w/b", "w/c"]]
    assert await found(tasks) == [[]] * 3


@under_load
async def _one_that_is_refused(database: Database, together: Together) -> None:
    tasks = asked(together, *(metrics(run) for run in "abc"))
    await turn()
    await database.answer()
    database.refuses = {"b"}
    await database.answer_all()
    assert database.statements == [["w/a", "w/b", "w/c"], ["w/a"], ["w/b"], ["w/c"]]
    assert await found(tasks) == [[], "Refused", []]


@under_load
async def _one_that_waits_for_a_lock(database: Database, together: Together) -> None:
    """Each by itself would wait as long again, one after the other."""
    tasks = asked(together, *(metrics(run) for run in "abc"))
    await turn()
    await database.answer()
    database.refuses, database.for_values = {"b"}, False
    await database.answer_all()
    assert database.statements == [["w/a", "w/b", "w/c"]]
    assert await found(tasks) == ["Refused"] * 3


@under_load
async def _one_that_is_given_up_behind_a_refusal(database: Database, together: Together) -> None:
    tasks = asked(together, *(metrics(run) for run in "abc"))
    await turn()
    await database.answer()
    database.refuses = {"b"}
    await database.answer()
    tasks[1].cancel()
    await turn()
    await database.answer_all()
    assert database.statements == [["w/a", "w/b", "w/c"], ["w/a"], ["w/c"]]
    assert await found(tasks) == [[], "CancelledError", []]


@under_load
async def _a_connection_that_is_lost(database: Database, together: Together) -> None:
    """Those that were sent may be stored, and are not sent again; the others were not."""
    sent = asked(together, *(metrics(run) for run in "ab"))
    await turn()
    await database.answer()
    assert database.statements == [["w/a", "w/b"]]
    behind = asked(together, metrics("c"))
    await turn()
    await database.answer(Lost("gone"))
    assert await found([*sent, *behind]) == ["Lost", "Lost", "NotConnected"]


@under_load
async def _one_that_is_given_up(database: Database, together: Together) -> None:
    tasks = asked(together, *(metrics(run) for run in "abc"))
    await turn()
    tasks[1].cancel()
    await turn()
    await database.answer()
    assert database.statements == [["w/a", "w/c"]]
    tasks[2].cancel()
    await database.answer()
    assert await found(tasks) == [[], "CancelledError", "CancelledError"]


@pytest.mark.parametrize(
    "check",
    [
        *(_those_that_wait, _one_of_a_run, _one_workspace, _few_metrics),
        *(_one_that_is_refused, _one_that_waits_for_a_lock, _one_that_is_given_up_behind_a_refusal),
        *(_a_connection_that_is_lost, _one_that_is_given_up),
    ],
    ids=[
        *("those that wait", "one of a run", "one workspace", "few metrics"),
        *("one that is refused", "one that waits for a lock", "one that is given up behind a refusal"),
        *("a connection that is lost", "one that is given up"),
    ],
)
def test_calls_that_wait_share_a_statement(check: Callable[[], None]) -> None:
    check()


def test_a_database_that_cannot_be_reached_holds_nobody_up() -> None:
    async def inside() -> None:
        database = Database()
        together = Together(database.send)
        tasks = asked(together, *(metrics(run) for run in "abc"))
        await turn()
        await database.answer(NotConnected("away"))
        assert await found(tasks) == ["NotConnected"] * 3
        assert database.statements == [["w/a"]]

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_a_statement_that_waits_for_a_lock_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "PATIENCE_SECONDS", 0)

    async def inside() -> None:
        database = Database()
        together = Together(database.send)
        tasks = []
        for number in range(SENDERS + 2):
            tasks += asked(together, metrics(f"r{number}"))
            await turn()
        assert database.statements == [[f"w/r{number}"] for number in range(SENDERS)]
        await database.answer_all()
        assert database.statements[SENDERS:] == [[f"w/r{SENDERS}", f"w/r{SENDERS + 1}"]]
        assert await found(tasks) == [[]] * (SENDERS + 2)

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_a_call_that_is_not_sent_in_time_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way is left: it may be committed."""
    monkeypatch.setattr(together_module, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(together_module, "PLACE_SECONDS", 0)

    async def inside() -> None:
        database = Database()
        together = Together(database.send)
        sent = asked(together, metrics("a"))
        await turn()
        assert await found(asked(together, metrics("b"), metrics("c"))) == ["NotConnected"] * 2
        await database.answer_all()
        assert (database.statements, await found(sent)) == ([["w/a"]], [[]])

        monkeypatch.setattr(together_module, "PLACE_SECONDS", 60)
        busy, sent = asked(together, metrics("a")), asked(together, metrics("b"))
        await turn()
        (waiting,) = together._waiting
        await database.answer()
        assert database.statements[1:] == [["w/a"], ["w/b"]]
        together._give_up(waiting)
        await database.answer_all()
        assert await found([*busy, *sent]) == [[], []]

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_a_group_is_sent_in_the_context_of_no_request() -> None:
    async def inside() -> None:
        database = Database()
        together = Together(database.send)
        tasks = []
        for run in "abc":
            REQUEST.set(run)
            tasks += asked(together, metrics(run))
            await turn()
        await database.answer_all()
        assert await found(tasks) == [[]] * 3
        assert (database.statements, database.contexts) == ([["w/a"], ["w/b", "w/c"]], ["a", "none"])

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_a_long_batch_and_one_of_several_kinds_share_nothing() -> None:
    pair = {"key": "a", "value": "1"}
    assert shares([metrics("a", MOST_METRICS)])
    assert not shares([metrics("a", MOST_METRICS + 1)])
    assert not shares(requests.log_batch({"run_id": "a", "metrics": [METRIC], "tags": [pair]}))
    assert not shares(requests.set_tag({"run_id": "a", **pair}))


def test_each_metric_has_its_run_beside_it() -> None:
    runs, keys, numbers, moments, steps, nans, newest = values([metrics("a", 2), metrics("b")])
    assert (runs, keys, numbers) == (["a", "a", "b"], ["a", "a", "a"], [1.0, 1.0, 1.0])
    assert (moments, steps, nans, newest) == ([1, 1, 1], [0, 1, 0], [False] * 3, [False, True, True])
