"""Whatever a hot connection waits for has an end, and what the database does not take turns the hot path off."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.responses import PlainTextResponse

from mlflow_runtime.azure import identity
from mlflow_runtime.hotpath import connections, queries, requests, together
from mlflow_runtime.hotpath.connections import LONG_SECONDS, Connection, Lost, NotConnected, Pool
from mlflow_runtime.hotpath.layer import HotPath
from mlflow_runtime.hotpath.statements import (
    ALL,
    GET_RUN,
    LOG_METRICS_OF_RUNS,
    LOG_PARAMS,
    SET_TAGS,
    UPDATE_RUN,
)
from mlflow_runtime.metrics import REGISTRY
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE
from tests.runtime.hotpath.asking import V2, Answer, Request, ask_inside
from tests.runtime.hotpath.comparing import Sides
from tests.runtime.hotpath.generating import experiments, token

MLFLOW = b"mlflow"


def post(path: str, **fields: Any) -> Request:
    return Request(path=f"{V2}/runs/{path}", body=json.dumps(fields).encode())


def hot_path(sides: Sides, connections: int = 1) -> HotPath:
    """A hot path of a test's own, before an application that says who answered."""
    return HotPath(PlainTextResponse(MLFLOW), sides.url, connections)


def ask(sides: Sides, app: HotPath, request: Request) -> Answer:
    return sides.runner.run(asyncio.wait_for(ask_inside(app, request), 30))


def is_on() -> bool:
    return b"mlflow_hot_path_on 1.0" in generate_latest(REGISTRY)


def refusals(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [line for line in caplog.records if "the database refused a statement" in line.getMessage()]


def test_tables_that_are_not_those_of_the_statements_turn_it_off(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = dataclasses.replace(UPDATE_RUN, sql=UPDATE_RUN.sql.replace("end_time", "ended_at"))
    monkeypatch.setattr(connections, "ALL", {**ALL, other.name: other})
    app, tag = hot_path(sides), post("set-tag", run_id=sides.run(), key="a", value="b")
    assert is_on()
    assert [ask(sides, app, tag).body for _ in range(3)] == [MLFLOW] * 3
    lines = [line for line in caplog.messages if "hot path" in line]
    assert lines == [
        "the hot path is off, MLflow answers every request: the database does not take its statements, "
        'column "ended_at" does not exist'
    ]
    assert not is_on()


def test_a_statement_that_is_prepared_no_longer_turns_it_off(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    """And it keeps no connection that nothing uses any more."""
    app, tag = hot_path(sides, connections=2), post("set-tag", run_id=sides.run(), key="a", value="b")
    assert ask(sides, app, tag).body == b"{}"

    async def forget() -> None:
        async with app._pool.connection() as connection:
            async with app._pool.connection():
                pass
            await connection.run(f"DEALLOCATE {SET_TAGS.name}")

    sides.runner.run(forget())
    assert ask(sides, app, tag).body == MLFLOW
    assert not is_on()
    assert app._pool._kept == []
    assert 'prepared statement "set_tags" does not exist' in caplog.text


def test_a_connection_has_the_ends_of_a_statement_whatever_options_the_url_has(sides: Sides) -> None:
    given = "-c work_mem=5MB -c statement_timeout=1 -c lock_timeout=1"
    url = sides.url.update_query_dict({"options": given})
    names = ("work_mem", "statement_timeout", "lock_timeout")
    question = f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}"

    async def options() -> Any:
        async with Pool(url, 1).connection() as connection:
            return await connection.run(question)

    ends = (connections.STATEMENT_SECONDS, connections.LOCK_SECONDS)
    assert sides.runner.run(options()) == ("5MB", *(f"{seconds}s" for seconds in ends))


@contextlib.contextmanager
def locked(sides: Sides, run_id: str) -> Iterator[None]:
    """Another transaction has a run for the block."""
    with sides.rows.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM runs WHERE run_uuid = %s FOR UPDATE", (run_id,))
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("setting", "said"), [("LOCK_SECONDS", "lock timeout"), ("STATEMENT_SECONDS", "statement timeout")]
)
def test_a_statement_that_waits_for_a_lock_ends_and_its_request_is_mlflows(
    sides: Sides, setting: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for each in ("LOCK_SECONDS", "STATEMENT_SECONDS"):
        monkeypatch.setattr(connections, each, 0.1 if each == setting else 10)
    app, run_id = hot_path(sides), sides.run()
    update = post("update", run_id=run_id, status="FINISHED")
    with locked(sides, run_id):
        assert ask(sides, app, update).body == MLFLOW
    (refused,) = refusals(caplog)
    assert refused.levelno == logging.WARNING
    assert refused.getMessage().endswith(f"MLflow answers: canceling statement due to {said}")
    assert is_on()
    assert ask(sides, app, update).status == 200


def test_an_answer_that_would_be_too_large_is_not_sent(sides: Sides) -> None:
    """MLflow answers it: PostgreSQL sends nothing of it here, where the event loop would read it."""
    run_id, pool = sides.run(), Pool(sides.url, 1)
    named = queries.Filter(kind="attribute", key="run_id", comparator="=", value=run_id)
    search = queries.search_runs([int(sides.experiment)], ["active"], [named], [], offset=0, most=5)

    async def found(params: int) -> Any:
        async with pool.connection() as connection:
            keys = [f"p{number}" for number in range(params)]
            await connection.run(LOG_PARAMS.execute, (DEFAULT_WORKSPACE, run_id, keys, ["v" * 5999] * params))
            return await connection.run(search.execute, (DEFAULT_WORKSPACE, *search.values))

    done, _, ids, *_ = sides.runner.run(found(params=40))
    assert (done, ids) == (True, [run_id])
    done, _, *rest = sides.runner.run(found(params=45))
    assert (done, set(rest)) == (False, {None})


def test_a_shared_statement_that_waits_for_a_lock_is_not_sent_again(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests are MLflow's, and nothing of them is stored."""
    monkeypatch.setattr(connections, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(together, "AT_ONCE", 0)  # all of them wait, and go together
    app, runs = hot_path(sides, connections=4), [sides.run() for _ in range(4)]
    sent, usual = list[str](), Connection.run

    async def run(self: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
        sent.append(statement)
        return await usual(self, statement, values)

    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(
            *(ask_inside(app, post("log-metric", run_id=each, key="a", value=1.0, timestamp=1)) for each in runs)
        )

    monkeypatch.setattr(Connection, "run", run)
    with locked(sides, runs[1]):
        answers = sides.runner.run(asyncio.wait_for(all_of_them(), 30))
    assert [answer.body for answer in answers] == [MLFLOW] * 4
    assert sent == [LOG_METRICS_OF_RUNS.execute]
    assert [sides.rows_of("metrics", each) for each in runs] == [[]] * 4
    assert [answer.body for answer in sides.runner.run(asyncio.wait_for(all_of_them(), 30))] == [b"{}"] * 4


def test_no_statement_is_planned_again_for_its_values(sides: Sides) -> None:
    """PostgreSQL plans the first five calls of a prepared statement for their values, and may go on with it."""
    run_id, pool = sides.run(), Pool(sides.url, 1)

    async def plans() -> Any:
        async with pool.connection() as connection:
            for number in range(8):
                await connection.run(LOG_PARAMS.execute, (DEFAULT_WORKSPACE, run_id, [f"p{number}"], ["1"]))
                await connection.run(SET_TAGS.execute, (DEFAULT_WORKSPACE, run_id, ["a"], [str(number)]))
            return await connection.run("SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements")

    assert sides.runner.run(plans()) == (0, 16)
    pool.close()


def test_a_value_that_does_not_fit_is_no_warning(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    request = post("create", experiment_id=sides.experiment, user_id="u" * 257)
    with caplog.at_level(logging.INFO):
        assert ask(sides, hot_path(sides), request).body == MLFLOW
    (refused,) = refusals(caplog)
    assert (refused.levelno, "value too long" in refused.getMessage()) == (logging.INFO, True)


def test_a_request_that_gets_no_connection_in_time_is_mlflows(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PLACE_SECONDS", 0.01)
    app, tag = hot_path(sides), post("set-tag", run_id=sides.run(), key="a", value="b")

    async def beside_another() -> Answer:
        async with app._pool.connection():
            return await ask_inside(app, tag)

    assert sides.runner.run(asyncio.wait_for(beside_another(), 30)).body == MLFLOW
    assert ask(sides, app, tag).body == b"{}"


def test_one_request_at_most_waits_for_a_server_that_was_away(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0)
    pool, waiting = Pool(sides.url, 4), list[asyncio.Future[Connection]]()
    usual = sides.runner.run(Connection.open(sides.url, connections.Tokens()))

    async def open_later(*_: Any) -> Connection:
        waiting.append(asyncio.get_running_loop().create_future())
        return await waiting[-1]

    async def get() -> bool:
        try:
            async with pool.connection():
                return True
        except NotConnected:
            return False

    async def three(*, comes: bool) -> tuple[int, list[bool]]:
        """How many of three requests at once wait for the server, and which of them get a connection."""
        waiting.clear()
        asked = [asyncio.create_task(get()) for _ in range(3)]
        await asyncio.sleep(0)
        for each in waiting:
            each.set_result(usual) if comes else each.set_exception(NotConnected("no answer"))
        return len(waiting), await asyncio.gather(*asked)

    monkeypatch.setattr(Connection, "open", open_later)
    assert sides.runner.run(three(comes=False)) == (3, [False] * 3)
    assert sides.runner.run(three(comes=False)) == (1, [False] * 3)
    assert sides.runner.run(three(comes=True)) == (1, [True, False, False])
    pool.close()


def test_a_request_that_is_given_up_leaves_its_place_and_no_connection(sides: Sides) -> None:
    app, run_id = hot_path(sides), sides.run()
    update, usual = post("update", run_id=run_id, status="FINISHED"), Connection.run

    async def give_up() -> Answer:
        sent = asyncio.Event()

        async def run(self: Connection, statement: str, values: Sequence[Any] = ()) -> Any:
            sent.set()
            return await usual(self, statement, values)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "run", run)
            asking = asyncio.create_task(ask_inside(app, update))
            await sent.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert app._pool._kept == []
        return await ask_inside(app, post("set-tag", run_id=run_id, key="a", value="b"))

    with sides.rows.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT FROM runs WHERE run_uuid = %s FOR NO KEY UPDATE", (run_id,))
        try:
            assert sides.runner.run(asyncio.wait_for(give_up(), 30)).body == b"{}"
        finally:
            cursor.execute("ROLLBACK")


def test_a_server_that_says_nothing_is_given_up(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(sides.url, 1)

    async def wait() -> None:
        async with pool.connection() as connection:
            monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.01)
            with pytest.raises(Lost):
                await connection.run("SELECT pg_sleep(5)")
            assert not connection.is_idle

    sides.runner.run(asyncio.wait_for(wait(), 30))


def rows(count: int, size: int) -> list[dict[str, str]]:
    return [{"key": f"k{number}", "value": "v" * size} for number in range(count)]


TEXT = "s" * 33_000
LONG: dict[str, Sequence[tuple[str, dict[str, Any]]]] = {
    "parameters": [("log-batch", {"params": rows(11, 6000)})],
    "rows": [("log-batch", {"tags": [{"key": f"{part}-{key}", "value": ""} for key in range(100)]}) for part in "ab"],
    "tags": [("log-batch", {"tags": rows(9, 8000)})],
    "texts of datasets": [
        ("log-inputs", {"datasets": [{"dataset": {"name": name, "digest": "1", "source_type": "s", "source": TEXT}}]})
        for name in "ab"
    ],
}


@pytest.mark.parametrize("kind", sorted(LONG))
def test_a_run_whose_answer_would_be_long_is_mlflows_and_nothing_of_it_is_read(sides: Sides, kind: str) -> None:
    run_id, app = sides.run(), hot_path(sides)
    question = Request(path=f"{V2}/runs/get?run_id={run_id}", method="GET", headers=())
    assert ask(sides, app, question).status == 200
    for call, fields in LONG[kind]:
        assert sides.reference.ask(post(call, run_id=run_id, **fields)).status == 200
    assert ask(sides, app, question).body == MLFLOW

    async def found() -> Any:
        async with app._pool.connection() as connection:
            return await connection.run(GET_RUN.execute, (DEFAULT_WORKSPACE, run_id))

    done, _, *read = sides.runner.run(found())
    assert (done, set(read)) == (False, {None})


def add_points(sides: Sides, run_id: str, first: int, last: int) -> None:
    with sides.rows.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)"
            " SELECT %s, 'm', step, step, step, false FROM generate_series(%s::bigint, %s) AS step",
            (run_id, first, last),
        )


def test_a_history_that_takes_long_to_read_is_mlflows(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 100
    for module in (requests, queries):
        monkeypatch.setattr(module, "MOST_READ", most)
    run_id, app = sides.run(), hot_path(sides)
    page = f"get-history?run_id={run_id}&metric_key=m&max_results=2"
    sample = f"get-history-bulk-interval?run_ids={run_id}&metric_key=m&max_results=2"

    def hot(asked: str) -> bool:
        answer = ask(sides, app, Request(path=f"{V2}/metrics/{asked}", method="GET", headers=()))
        return answer.body != MLFLOW and len(json.loads(answer.body)["metrics"]) == 2

    add_points(sides, run_id, 1, most)
    assert hot(sample)
    add_points(sides, run_id, most + 1, most + 1)
    assert not hot(sample)
    assert hot(f"{sample}&start_step=2&end_step={most + 1}")
    assert [hot(f"{page}&page_token={token(offset)}") for offset in (most - 2, most - 1)] == [True, False]
    assert is_on()


def test_logging_does_not_wait_for_what_takes_long(sides: Sides) -> None:
    """And what takes long ends sooner than a statement of logging."""
    app, run_id = hot_path(sides, connections=4), sides.run()

    async def both() -> None:
        async with app._long.connection() as connection:
            assert await connection.run("SHOW statement_timeout") == (f"{LONG_SECONDS}s",)
            found = asyncio.create_task(ask_inside(app, experiments(max_results=1)))
            logged = await ask_inside(app, post("set-tag", run_id=run_id, key="a", value="b"))
            assert (logged.body, found.done()) == (b"{}", False)
        assert b"experiments" in (await found).body

    sides.runner.run(both())


@contextlib.asynccontextmanager
async def cutting(host: str, port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A relay to a server, as its port. Once the event is set, it loses the connection in place of the next answer."""
    cut = asyncio.Event()
    lost: list[asyncio.StreamWriter] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        while part := await source.read(1 << 16):
            if answers and cut.is_set():
                for each in lost:
                    each.close()
                return
            sink.write(part)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_read, to_write = await asyncio.open_connection(host, port)
        lost.extend((writer, to_write))
        await asyncio.gather(pump(reader, to_write, answers=False), pump(to_read, writer, answers=True))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], cut


async def answer_without_that_of(sides: Sides, statement: str, request: Request) -> Answer:
    """Send a request to a hot path that loses its connection in place of the answer to a statement."""
    assert sides.url.host is not None
    assert sides.url.port is not None
    first, usual = post("set-tag", run_id=sides.run(), key="a", value="b"), Connection.run
    async with cutting(sides.url.host, sides.url.port) as (port, cut):
        app = HotPath(PlainTextResponse(MLFLOW), sides.url.set(port=port), 1)

        async def run(self: Connection, sent: str, values: Sequence[Any] = ()) -> Any:
            if statement in sent:
                cut.set()
            return await usual(self, sent, values)

        await ask_inside(app, first)  # opens the connection
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "run", run)
            return await ask_inside(app, request)


def batch(run_id: str, value: str) -> Request:
    """A transaction, whose COMMIT is answered last."""
    return post("log-batch", run_id=run_id, params=[{"key": key, "value": value} for key in "ab"])


@pytest.mark.parametrize(("call", "statement"), [("create", "create_run"), ("log-batch", "COMMIT")])
def test_what_was_done_and_whose_answer_is_lost_is_not_done_again(sides: Sides, call: str, statement: str) -> None:
    run_id, name = sides.run(), f"lost-{uuid.uuid4()}"
    request = {
        "create": post("create", experiment_id=sides.experiment, run_name=name),
        "log-batch": batch(run_id, name),
    }[call]
    answer = sides.runner.run(asyncio.wait_for(answer_without_that_of(sides, statement, request), 30))
    assert (answer.status, json.loads(answer.body)["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    with sides.rows.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE name = %s", (name,))
        assert cursor.fetchone() == (int(call == "create"),)
    assert len(sides.rows_of("params", run_id)) == (2 if call == "log-batch" else 0)


@pytest.mark.parametrize("statement", ["BEGIN", "ROLLBACK", "get_run"])
def test_what_cannot_have_been_committed_is_mlflows(sides: Sides, statement: str) -> None:
    run_id = sides.run()
    request = batch(run_id, "1")
    if statement == "ROLLBACK":  # of a batch with a parameter that differs
        assert sides.reference.ask(post("log-parameter", run_id=run_id, key="a", value="other")).status == 200
    if statement == "get_run":
        request = Request(path=f"{V2}/runs/get?run_id={run_id}", method="GET", headers=())
    answer = sides.runner.run(asyncio.wait_for(answer_without_that_of(sides, statement, request), 30))
    assert answer.body == MLFLOW
    assert len(sides.rows_of("params", run_id)) == int(statement == "ROLLBACK")


def test_a_token_that_does_not_come_is_asked_for_once_and_nothing_waits_for_it(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    comes, asked = threading.Event(), list[str]()

    def get_token(scope: str) -> Any:
        asked.append(scope)
        comes.wait()
        return SimpleNamespace(token="late")

    monkeypatch.setattr(identity, "current", lambda: SimpleNamespace(get_token=get_token))
    monkeypatch.setattr(connections, "PAUSE_SECONDS", 0)
    pool = Pool(sides.url.update_query_dict({"connect_timeout": "1"}), 1)

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(NotConnected):
                async with pool.connection():
                    pass

    ended = threading.Event()

    def to_the_end() -> None:
        asyncio.run(twice())
        ended.set()

    whole = threading.Thread(target=to_the_end, daemon=True)
    try:
        with caplog.at_level(logging.WARNING):
            whole.start()
            assert ended.wait(30)
    finally:
        comes.set()
        whole.join()
    assert len(asked) == 1
    assert len([line for line in caplog.messages if "the hot path gets no connection" in line]) == 1
