"""The same requests through the hot path and without it, and what differs: answers, and the rows of the run."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import hypothesis
import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy import URL, make_url
from starlette.types import Receive, Scope, Send

from mlflow_runtime.azure import identity
from mlflow_runtime.hotpath import together
from mlflow_runtime.hotpath.layer import HotPath
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE
from tests.runtime.hotpath.asking import V2, Answer, Client, Request, ask_inside
from tests.runtime.hotpath.generating import SEQUENCES
from tests.support.plane import TRACKING
from tests.support.services import PUBLIC_HOST, Platform, Service
from tests.support.waiting import until

CONNECTIONS = 4
AT_ONCE = 16
WAITING_SECONDS = 20
RUNS = 4
# As `_generate_random_name` of MLflow makes them.
_RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-[0-9]+")
# Its own columns but for the id; the order of rows says nothing.
_ROWS: Mapping[str, str] = {
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
    "params": "key, value",
    "tags": "key, value",
    "runs": "name, status, start_time, end_time, deleted_time IS NULL, lifecycle_stage, user_id, source_type,"
    " source_name, source_version, entry_point_name, artifact_uri, experiment_id",
}
# Headers that the service's own environment decides; those of the real service are compared in a test of their own.
_COMPARED = frozenset({"content-type", "content-length"})
# What these answer was in the request, or is asked for in an order.
_AS_THEY_ARE = ("/runs/create", "/runs/update", "/metrics/get-history", "/metrics/get-history-bulk-interval")
# What these answer is of all runs or experiments, so that both sides are answered the same.
_SEARCHES = ("/runs/search", "/experiments/search")


class Asked(Protocol):
    """What answers where the hot path does not."""

    def ask(self, request: Request, /) -> Answer:
        """Answer a request."""


class _Nobody:
    """An MLflow that finds nothing, and so writes nothing either."""

    def ask(self, _request: Request) -> Answer:
        return Answer(status=HTTPStatus.NOT_FOUND, headers=(), body=b"{}")


NOBODY = _Nobody()


@dataclass
class Sides:
    """Stock MLflow at `reference`, and a hot path in this process before it. Requests at the same time go on to `ours`,
    since stock MLflow refuses some of those that insert the same row.

    Both write to one database: requests are for runs, each side has one of its own. Of the experiments one is deleted,
    and the artifacts of one are elsewhere.
    """

    reference: Client
    ours: Client
    url: URL
    rows: extensions.connection
    experiment: str
    deleted: str
    elsewhere: str
    hot: HotPath = field(init=False)
    sequences: int = 0
    requests: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self.runner = asyncio.Runner()
        self.behind: Asked = self.reference
        self.hot = HotPath(self._pass, self.url, CONNECTIONS)

    def renew(self) -> None:
        """Take a new hot path, with connections of its own in place of the others."""
        for pool in (self.hot._pool, self.hot._long):
            for connection in pool._kept:
                connection.close()
        self.hot = HotPath(self._pass, self.url, CONNECTIONS)
        self.behind = self.reference

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """MLflow's application, which is in another process."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode()
        request = Request(
            path=scope["path"] + (f"?{query}" if query else ""),
            body=body,
            method=scope["method"],
            headers=tuple((name.decode(), value.decode()) for name, value in scope["headers"]),
        )
        answer = await asyncio.to_thread(self.behind.ask, request)
        self.answered -= 1
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def run(self, experiment: str = "") -> str:
        """Id of a new run, whose name is known."""
        given = {"experiment_id": experiment or self.experiment, "run_name": "r", "start_time": 1}
        body = json.dumps(given).encode()
        found: str = _created(self.reference.ask(Request(path=f"{V2}/runs/create", body=body)))["run_id"]
        return found

    def ask_hot(self, request: Request) -> Answer:
        """Through the hot path."""
        self.answered += 1
        return self.runner.run(ask_inside(self.hot, request))

    def differences(self, requests: Sequence[Request]) -> list[str]:
        """Send the requests on both sides, one after the other, and name what differs."""
        ours, theirs = self.run(), self.run()
        self.sequences += 1
        found = []
        for given in requests:
            self.requests += 1
            request = given.of(experiment=self.experiment, deleted=self.deleted, elsewhere=self.elsewhere)
            if request.path.partition("?")[0].endswith(_SEARCHES):
                got, wanted = _shown_in_order(self.ask_hot(request)), _shown_in_order(self.reference.ask(request))
                found += [] if got == wanted else [f"{request}: got {got}; MLflow answers {wanted}"]
                continue
            answer = self.ask_hot(request.of(run=ours)).without(run=ours)
            # Points that differ in NaN alone have no order in MLflow's page: another run's rows would have their own.
            asked = ours if "/metrics/get-history?" in request.path else theirs
            expected = self.reference.ask(request.of(run=asked)).without(run=asked)
            if "/runs/create" in request.path and answer.status == expected.status == HTTPStatus.OK:
                made, other = _created(answer), _created(expected)
                found += self.rows_that_differ({**made, "asking": ours}, {**other, "asking": theirs})
                answer, expected = answer.without(**made), expected.without(**other)
            shown = _shown_as_it_is if request.path.partition("?")[0].endswith(_AS_THEY_ARE) else _shown
            if shown(answer) != shown(expected):
                found.append(f"{request}: got {shown(answer)}; MLflow answers {shown(expected)}")
        return found + self.rows_that_differ({"run_id": ours}, {"run_id": theirs})

    def differences_at_once(self) -> list[str]:
        """Send requests at the same time through the hot path, and name what is not as if one came after the other."""
        return (
            self._of_runs()
            or self._of_workspaces()
            or self._of_batches()
            or self._of_conflicts()
            or self._of_those_that_wait()
        )

    def at_once(self, run_id: str, requests: Sequence[Request], behind: Asked | None = None) -> list[Answer]:
        """Send requests for a run at the same time through the hot path, `ours` behind it if nothing else is given."""

        async def all_of_them() -> list[Answer]:
            return await asyncio.gather(*(ask_inside(self.hot, request.of(run=run_id)) for request in requests))

        self.requests += len(requests)
        self.behind = behind or self.ours
        try:
            return self.runner.run(all_of_them())
        finally:
            self.behind = self.reference

    def _of_batches(self) -> list[str]:
        """Of batches that end alike in any order."""
        requests = [
            post(
                "log-batch",
                metrics=[
                    {"key": key, "value": float(number % 5 + 1), "timestamp": number % 3, "step": number % 4}
                    for key in sorted("abcdef", reverse=number % 2 == 0)
                ],
                params=[{"key": f"p{number % 4}", "value": "same"}, {"key": "q", "value": "same"}],
                tags=[{"key": "t", "value": "same"}],
            )
            for number in range(AT_ONCE)
        ]
        ours, theirs = self.run(), self.run()
        return self._as_in_a_row(ours, theirs, requests, self.at_once(ours, requests))

    def _of_those_that_wait(self) -> list[str]:
        """Of metrics that wait for one row, so that none saw what another wrote: the newest one is the latest."""
        # The newest is among the first ones, which are those that wait.
        requests = [post("log-metric", key="a", value=1.0, timestamp=1, step=step) for step in (0, 3, 1, 2)]
        ours, theirs = self.run(), self.run()
        insert = "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan)"
        with self.held(f"{insert} VALUES (%s, 'a', 0, 0, 0, false)", ours):
            answers = self.at_once(ours, requests)
        return self._as_in_a_row(ours, theirs, requests, answers)

    def _as_in_a_row(self, ours: str, theirs: str, requests: Sequence[Request], answers: Sequence[Answer]) -> list[str]:
        """Send the requests to stock MLflow one after the other, and name what was refused, and rows that differ."""
        every = [*answers, *(self.reference.ask(each.of(run=theirs)) for each in requests)]
        refused = [f"got {answer}; expected 200" for answer in every if answer.status != HTTPStatus.OK]
        return refused + self.rows_that_differ({"run_id": ours}, {"run_id": theirs})

    @contextlib.contextmanager
    def held(self, insert: str, run_id: str) -> Iterator[None]:
        """Insert a row beside the block, and undo it once statements wait for it."""
        with self.rows.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(insert, (run_id,))

            def wait() -> bool:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                (waiting,) = cursor.fetchone() or (0,)
                return bool(waiting >= together.AT_ONCE)

            def undo() -> None:
                try:
                    until(wait, "statements that wait for a row", WAITING_SECONDS)
                finally:
                    cursor.execute("ROLLBACK")

            with ThreadPoolExecutor(1) as beside:
                undone = beside.submit(undo)
                yield
                undone.result()

    def _of_conflicts(self) -> list[str]:
        """Of batches with a parameter each that differs: one is stored, the others are refused whole."""
        requests = [
            post("log-batch", params=[{"key": f"own{number}", "value": "1"}, {"key": "same", "value": str(number)}])
            for number in range(AT_ONCE)
        ]
        run_id = self.run()
        with self.held("INSERT INTO params (run_uuid, key, value) VALUES (%s, 'same', 'undone')", run_id):
            answers = self.at_once(run_id, requests)
        stored = self.rows_of("params", run_id)
        winners = [number for number, answer in enumerate(answers) if answer.status == HTTPStatus.OK]
        expected = [sorted([(repr(f"own{each}"), "'1'"), ("'same'", repr(str(each)))]) for each in winners]
        return (
            [] if expected == [stored] else [f"of parameters that differ: got {stored}, {answers}; expected one batch"]
        )

    def _of_runs(self) -> list[str]:
        """Of metrics for several runs, one of which is deleted."""
        ours, theirs = ([self.run() for _ in range(RUNS)] for _ in range(2))
        for deleted in (ours[1], theirs[1]):
            assert self.reference.ask(post("delete").of(run=deleted)).status == HTTPStatus.OK
        requests = [
            post("log-metric", key="ab"[number % 2], value=number, timestamp=1, step=number // 2 * -1)
            for number in range(RUNS)
        ]

        def all_for(runs: Sequence[str]) -> list[Request]:
            return [request.of(run=run) for request in requests for run in runs]

        statuses = [answer.status for answer in self.at_once("", all_for(ours))]
        expected = [self.reference.ask(request).status for request in all_for(theirs)]
        found = [] if statuses == expected else [f"of several runs: got {statuses}; MLflow answers {expected}"]
        for mine, other in zip(ours, theirs, strict=True):
            found += self.rows_that_differ({"run_id": mine}, {"run_id": other})
        return found

    def _of_workspaces(self) -> list[str]:
        """Of metrics for several runs, one of which is another workspace's: the hot path writes none of it."""
        runs = [self.run(), self.run(self.elsewhere), *(self.run() for _ in range(RUNS - 2))]
        requests = [
            post("log-metric", key="a", value=1.0, timestamp=1, step=step).of(run=run)
            for step in range(RUNS)
            for run in runs
        ]
        with self.of_another_workspace(self.elsewhere):
            statuses = [answer.status for answer in self.at_once("", requests, NOBODY)]
        stored = [len(self.rows_of("metrics", run)) for run in runs]
        expected = [RUNS, 0, *[RUNS] * (RUNS - 2)]
        refused = [HTTPStatus.OK if rows else HTTPStatus.NOT_FOUND for rows in expected] * RUNS
        return [] if (stored, statuses) == (expected, refused) else [f"of two workspaces: got {stored}, {statuses}"]

    @contextlib.contextmanager
    def of_another_workspace(self, experiment: str) -> Iterator[None]:
        """Give an experiment to another workspace for the block. MLflow as it comes does not start with one."""
        move = "UPDATE experiments SET workspace = %s WHERE experiment_id = %s"
        with self.rows.cursor() as cursor:
            cursor.execute(move, ("another", experiment))
            try:
                yield
            finally:
                cursor.execute(move, (DEFAULT_WORKSPACE, experiment))

    def rows_that_differ(self, ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
        """Compare the rows of two runs. Each has its id as `run_id`, and more that is not the same."""
        return [
            f"{table}: got {got}; MLflow has {expected}"
            for table in _ROWS
            if (got := self.rows_of(table, **ours)) != (expected := self.rows_of(table, **theirs))
        ]

    def rows_of(self, table: str, run_id: str, **more: str) -> list[tuple[str, ...]]:
        """A run's rows of a table as text, in some order, without what is its own alone."""
        with self.rows.cursor() as cursor:
            cursor.execute(f"SELECT {_ROWS[table]} FROM {table} WHERE run_uuid = %s", (run_id,))  # noqa: S608
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return sorted(tuple(_without(repr(value), run_id, *more.values()) for value in row) for row in found)


def post(call: str, **fields: Any) -> Request:
    """A request for a run."""
    return Request(path=f"{V2}/runs/{call}", body=json.dumps({"run_id": "{run}", **fields}).encode())


def _without(text: str, *own: str) -> str:
    for each in own:
        text = text.replace(each, "{own}")
    return text


def _created(answer: Answer) -> dict[str, str]:
    """What of a new run nobody else chose: its id, and its name if it is one of MLflow's own."""
    info = json.loads(answer.body)["run"]["info"]
    own = {"run_id": info["run_id"]}
    return {**own, "name": info["run_name"]} if _RANDOM_NAME.fullmatch(info["run_name"]) else own


@contextlib.contextmanager
def sides_of(platform: Platform, stock: Service, ours: Service) -> Iterator[Sides]:
    """A hot path of this process before stock MLflow. This process is signed in as tracking meanwhile."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in platform.plane.environment(TRACKING).items():
            patched.setenv(name, value)
        patched.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", PUBLIC_HOST)
        patched.setattr(identity, "current", functools.cache(identity.current.__wrapped__))

        def experiment(**more: str) -> str:
            made = stock.ask(f"{V2}/experiments/create", {"name": f"hot-{uuid.uuid4()}", **more})
            return str(made.body["experiment_id"])

        deleted = experiment()
        assert stock.ask(f"{V2}/experiments/delete", {"experiment_id": deleted}).status == HTTPStatus.OK
        clients = Client(stock.port), Client(ours.port)
        rows = psycopg2.connect(
            host="127.0.0.1",
            port=platform.plane.postgres_port,
            user=TRACKING.name,
            password=platform.plane.token(TRACKING)["access_token"],
            dbname="tracking",
        )
        rows.autocommit = True
        yield Sides(
            reference=clients[0],
            ours=clients[1],
            url=make_url(platform.database_url("tracking", "tracking")),
            rows=rows,
            experiment=experiment(),
            deleted=deleted,
            elsewhere=experiment(artifact_location="s3://bucket/a/?b=c"),
        )
        for client in clients:
            client.close()
        rows.close()


def first_difference(
    sides: Sides, sequences: int, *, seed: int = 0, examples: Iterable[Sequence[Request]] = ()
) -> list[str]:
    """Compare the examples, and then so many drawn sequences, the same ones for the same seed, until one differs."""
    found: list[str] = next(filter(None, map(sides.differences, examples)), [])
    if found or not sequences:
        return found

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=sequences,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(SEQUENCES)
    def compare(requests: list[Request]) -> None:
        if not found:
            found.extend(sides.differences(requests))

    compare()
    return found


def _shown(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes, int]:
    """What of an answer is compared: the last is how many lines it has."""
    kept = [(name.lower(), value) for name, value in answer.headers if name.lower() in _COMPARED]
    if not answer.body.endswith(b"}"):  # a page of the framework's
        return answer.status, kept, answer.body, 0
    document = json.loads(answer.body)
    if "message" in document:  # stock MLflow adds the driver's words, in which each side has its ids
        document["message"] = document["message"].partition("(psycopg2.")[0]
    # An answer's length differs with what it says of the request.
    kept = [(name, value) for name, value in kept if name != "content-length"]
    return answer.status, kept, json.dumps(_ordered(document)).encode(), answer.body.count(b"\n")


def _shown_as_it_is(answer: Answer) -> tuple[Any, ...]:
    """An answer that succeeded with its very bytes, which have the order of their lists."""
    return (*_shown(answer), answer.body if answer.status == HTTPStatus.OK else b"")


def _shown_in_order(answer: Answer) -> tuple[Any, ...]:
    """An answer to a search: what was found is in an order, and each has lists that are in none. It is written as
    Python writes JSON, and as long as the other one.
    """
    if answer.status != HTTPStatus.OK:
        return _shown(answer)
    headers = [(name.lower(), value) for name, value in answer.headers if name.lower() in _COMPARED]
    document = json.loads(answer.body)
    written = json.dumps(document, indent=2).encode() == answer.body
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    in_order = {**document, **{name: [_ordered(each) for each in value] for name, value in lists.items()}}
    return answer.status, headers, json.dumps(in_order), written, len(answer.body)


def _ordered(found: Any) -> Any:
    """Lists in some order: the database's, which says nothing."""
    if isinstance(found, dict):
        return {name: _ordered(value) for name, value in found.items()}
    return sorted((_ordered(each) for each in found), key=json.dumps) if isinstance(found, list) else found
