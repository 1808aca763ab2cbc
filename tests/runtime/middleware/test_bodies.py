"""The bodies of requests: together no more than the replica's memory holds, each as large as its route needs."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from unittest.mock import AsyncMock

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from mlflow_runtime.middleware import bodies
from mlflow_runtime.middleware.access.classes import CLASSES, Class, route
from mlflow_runtime.middleware.bodies import ASKED, MIB, SMALL, Bodies, Budget, limits, memory
from mlflow_runtime.responses import Failure

LIMIT = 8 * MIB
Answered = tuple[int, dict[str, str]]
LOG_BATCH = "/api/2.0/mlflow/runs/log-batch"


class Client:
    """One request, whose body comes as the test sends it."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = list(headers) or [(b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")]
        self.coming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []

    def send(self, part: bytes, *, more: bool = True) -> None:
        self.coming.put_nowait({"type": "http.request", "body": part, "more_body": more})

    async def through(self, app: Bodies) -> Answered:
        async def answer(message: Message) -> None:
            self.sent.append(message)

        scope = {"type": "http", "method": "POST", "path": LOG_BATCH, "headers": self.headers}
        await app(scope, self.coming.get, answer)
        return self.sent[0]["status"], json.loads(self.sent[1]["body"] or b"{}")


class Slow:
    """An application that has the whole body, and answers when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.sizes: list[int] = []

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        self.sizes.append(size)
        await self.may.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def body(size: int) -> Client:
    """A client that sends a plain body of so many bytes."""
    client = Client()
    client.send(b" " * size, more=False)
    return client


@asynccontextmanager
async def at_work(budget: Budget, *clients: Client) -> AsyncIterator[tuple[Bodies, Slow, list[asyncio.Task[Answered]]]]:
    """Requests whose bodies the application has, or which are refused."""
    slow = Slow()
    app = Bodies(slow, lambda _: LIMIT, budget)
    tasks: list[asyncio.Task[Answered]] = [asyncio.create_task(client.through(app)) for client in clients]
    for _ in range(100):
        await asyncio.sleep(0)
    yield app, slow, tasks
    slow.may.set()
    await asyncio.gather(*tasks)


def test_bodies_beyond_the_budget_are_rejected_until_others_are_answered() -> None:
    async def many() -> None:
        budget = Budget(2 * memory(b" " * MIB))
        async with at_work(budget, *(body(MIB) for _ in range(8))) as (app, slow, tasks):
            assert len(slow.sizes) == 2
            refused = [task.result() for task in tasks if task.done()]
            assert len(refused) == 6
            for status, answer in refused:
                assert (status, answer["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            # A small one has room of its own, without a wait.
            small = Client((b"content-length", str(SMALL).encode()))
            small.send(b" " * SMALL, more=False)
            slow.may.set()
            assert (await small.through(app))[0] == 200
        assert (budget.used, budget.most) == (0, budget.total)
        assert (await body(MIB).through(app))[0] == 200
        assert budget.used == 0

    asyncio.run(many())


@pytest.mark.parametrize("dense", [b"[],", b"{},", b"1,,"], ids=str)
def test_elements_count_with_what_mlflow_makes_of_them(dense: bytes) -> None:
    """A list of empty ones takes twenty times and more of what it is long."""
    budget = Budget(8 * MIB)
    client = Client()
    client.send(dense * (MIB // 3), more=False)
    status, answer = asyncio.run(client.through(Bodies(Slow(), lambda _: LIMIT, budget)))
    assert (status, budget.used) == (413, 0)
    assert "memoryMib" in answer["message"]


def test_messages_count_with_what_becomes_of_them() -> None:
    """Two bytes are an empty span, of which the parser makes 174."""
    export = b"\x12\x00" * (MIB // 2)
    for media_type, status in ((b"application/x-protobuf", 413), (b"", 413), (b"application/json; charset=utf-8", 200)):
        budget, slow = Budget(8 * MIB), Slow()
        slow.may.set()
        client = Client((b"transfer-encoding", b"chunked"), (b"content-type", media_type))
        client.send(export, more=False)
        assert asyncio.run(client.through(Bodies(slow, lambda _: LIMIT, budget)))[0] == status


def test_an_export_of_spans_has_room() -> None:
    """About what an exporter sends at once: 512 spans with ten attributes each."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(512):
        span = spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name="call")
        for key in range(10):
            span.attributes.add(key=f"attribute.{key}").value.string_value = f"value {number}"
    assert bodies.memory_of_messages(request.SerializeToString()) < Budget.of(1024).total / 32


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-length", str(LIMIT + 1).encode())], 413),
        ([(b"transfer-encoding", b"chunked")], 413),
        ([(b"content-encoding", b"br")], 415),
        ([(b"content-encoding", b"gzip")], 413),
    ],
    ids=str,
)
def test_a_refusal_is_answered_before_the_rest_comes_and_the_rest_is_thrown_away(
    headers: list[tuple[bytes, bytes]], status: int
) -> None:
    async def refused() -> None:
        budget = Budget(1 << 40)
        client = Client(*headers)
        for _ in range(4):
            client.send(b"x" * (LIMIT // 3))
        client.send(b"", more=False)
        assert (await client.through(Bodies(Slow(), lambda _: LIMIT, budget)))[0] == status
        assert (client.coming.empty(), budget.used) == (True, 0)

    asyncio.run(refused())


def test_a_client_that_stops_sending_holds_memory_no_longer_than_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_SECONDS", 0.01)
    monkeypatch.setattr("mlflow_runtime.middleware.load_shedding.LINGER_SECONDS", 0.01)

    async def stalled() -> None:
        budget = Budget(LIMIT)
        client = Client()
        client.send(b"x" * MIB)
        assert (await client.through(Bodies(Slow(), lambda _: LIMIT, budget)))[0] == 408
        assert budget.used == 0

    asyncio.run(stalled())


def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    async def gone() -> None:
        budget, slow = Budget(LIMIT), Slow()
        client = Client()
        client.send(b"x" * MIB)
        client.coming.put_nowait({"type": "http.disconnect"})
        await client.through(Bodies(slow, lambda _: LIMIT, budget))
        assert (budget.used, slow.sizes) == (0, [])

    asyncio.run(gone())


def test_what_the_application_finds_out_about_an_unpacked_request_is_seen_outside() -> None:
    """FastAPI writes the parameters of the path into the scope, where access control reads them for its record."""

    async def find(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"] = {"trace_id": "t"}
        assert dict(scope["headers"]) == {b"content-length": b"2", b"x": b"y"}
        await PlainTextResponse((await receive())["body"])(scope, receive, send)

    packed = gzip.compress(b"{}")
    headers = [(b"content-encoding", b"gzip"), (b"content-length", str(len(packed)).encode()), (b"x", b"y")]
    scope: Scope = {"type": "http", "method": "POST", "path": LOG_BATCH, "headers": headers}
    client = Client()
    client.send(packed, more=False)
    asyncio.run(Bodies(find, lambda _: LIMIT, Budget(LIMIT))(scope, client.coming.get, AsyncMock()))
    assert scope["path_params"] == {"trace_id": "t"}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [(0, MIB), (2 * MIB, 2 * MIB), (5 * MIB, 3 * MIB), (None, MIB)],
    ids=["short", "echo", "more", "-"],
)
def test_a_client_that_reads_slowly_holds_the_memory_of_its_body_or_answer(answer: int | None, kept: int) -> None:
    """MLflow's refusal of a value repeats it. No answer counts for more than its body did."""

    async def read_slowly() -> None:
        budget, reads, held = Budget(LIMIT), asyncio.Event(), list[int]()

        async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["more_body"]:
                pass
            length = [] if answer is None else [(b"content-length", str(answer).encode())]
            await send({"type": "http.response.start", "status": 400, "headers": length})
            await send({"type": "http.response.body", "body": b" " * (answer or 0)})

        async def send(_message: Message) -> None:
            held.append(budget.used)
            await reads.wait()

        client = body(MIB)
        scope = {"type": "http", "method": "POST", "path": LOG_BATCH, "headers": client.headers}
        answering = asyncio.create_task(Bodies(echo, lambda _: LIMIT, budget)(scope, client.coming.get, send))
        while not held:
            await asyncio.sleep(0)
        reads.set()
        await answering
        assert (held, budget.used) == ([kept, kept], 0)

    asyncio.run(read_slowly())


# How large a body may be


def matched(method: str, path: str) -> str | None:
    name = route(method, path)
    return name if name in CLASSES else None


@pytest.mark.parametrize(
    ("path", "large"),
    [
        ("/v1/traces", True),
        ("/api/2.0/mlflow/runs/log-batch", True),
        ("/api/2.0/mlflow/runs/log-inputs", True),
        ("/ajax-api/3.0/mlflow/traces", True),
        ("/api/2.0/mlflow/runs/search", False),
        ("/api/2.0/mlflow/experiments/search", False),
        ("/graphql", False),
        ("/api/3.0/mlflow/traces/search", False),
        ("/api/2.0/mlflow/registered-models/rename", False),
        ("/nowhere", False),
    ],
)
def test_only_what_logs_may_be_large(path: str, large: bool) -> None:
    limit = limits(matched, 64 * MIB)
    assert limit({"method": "POST", "path": path}) == (64 * MIB if large else ASKED)
    assert limits(matched, MIB)({"method": "POST", "path": path}) == MIB


def test_a_search_has_room_for_a_page_of_ids() -> None:
    from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

    ids = [f"{number:032x}" for number in range(SEARCH_MAX_RESULTS_THRESHOLD)]
    assert len(json.dumps({"experiment_ids": ids})) <= ASKED


def test_no_route_that_reads_may_be_large() -> None:
    limit = limits(lambda _method, path: path, 64 * MIB)
    large = {name for name in CLASSES if limit({"method": "", "path": name}) > ASKED}
    assert large == {name for name, kind in CLASSES.items() if kind is Class.WRITE}


@pytest.mark.parametrize("mib", [256, 512, 1024, 4096])
def test_the_budget_leaves_what_the_replica_takes_without_bodies(mib: int) -> None:
    total = Budget.of(mib).total // MIB
    assert total == max(bodies.LEAST_MIB, mib - bodies.RESERVED_MIB)


FAILURES: list[Callable[[], Failure]] = [
    lambda: bodies.too_large(ASKED),
    lambda: bodies.too_large(LIMIT),
    lambda: bodies.too_much(Budget(LIMIT)),
    lambda: bodies.busy(Budget(LIMIT)),
    bodies.stalled,
]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_refusal_says_what_to_do(failure: Callable[[], Failure]) -> None:
    assert ";" in failure().message
    assert any(word in failure().message for word in ("send ", "raise "))
