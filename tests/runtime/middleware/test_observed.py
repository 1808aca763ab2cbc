"""What is seen of a request, and what is rejected: the middlewares alone."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send
from werkzeug.routing import Map, Rule

from mlflow_runtime import request_id
from mlflow_runtime.logs import JsonFormatter
from mlflow_runtime.metrics import REGISTRY, exposition
from mlflow_runtime.middleware import load_shedding
from mlflow_runtime.middleware.load_shedding import Shedding, begin_transfer
from mlflow_runtime.middleware.observed import Observed
from mlflow_runtime.middleware.templates import OTHER, template
from tests.support.asgi import ask, scope
from tests.support.patience import OUTAGE_SECONDS, patience

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def observed(app: App) -> Observed:
    return Observed(app, lambda _: "/template")


class Lines(logging.Handler):
    """The lines that are logged, as a service writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter("tracking"))
        self.written: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(json.loads(self.format(record)))


@pytest.fixture
def log() -> Any:
    handler = Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.written
    root.removeHandler(handler)
    root.setLevel(level)


def test_every_line_of_a_request_has_its_id_also_from_a_thread(log: list[dict[str, Any]]) -> None:
    async def app(asked: Scope, receive: Receive, send: Send) -> None:
        logging.getLogger("loop").info("in the loop")
        await run_in_threadpool(logging.getLogger("thread").info, "in a thread")
        await PlainTextResponse(request_id.current() or "none")(asked, receive, send)

    async def serve() -> list[tuple[int, dict[str, str], bytes]]:
        ids = [b"first", b"second"]
        return await asyncio.gather(*(ask(observed(app), scope(headers=[(b"x-request-id", each)])) for each in ids))

    answers = asyncio.run(serve())
    assert [(headers["x-request-id"], body.decode()) for _, headers, body in answers] == [
        ("first", "first"),
        ("second", "second"),
    ]
    for each in ("first", "second"):
        loggers = [line["logger"] for line in log if line.get("request_id") == each]
        assert loggers == ["loop", "thread", "mlflow_runtime.request"]


def test_a_line_outside_of_a_request_has_no_id(log: list[dict[str, Any]]) -> None:
    logging.getLogger("start").info("started")
    assert "request_id" not in log[0]


def test_what_the_application_raises_is_counted_as_500_and_goes_on(log: list[dict[str, Any]]) -> None:
    async def app(_asked: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(ask(observed(app), scope(headers=[(b"x-request-id", b"raises")])))
    assert (log[-1]["request_id"], log[-1]["status"]) == ("raises", 500)
    series = {"method": "GET", "route": "/template", "status": "500"}
    assert (REGISTRY.get_sample_value("mlflow_http_requests_total", series) or 0) >= 1


def test_what_is_raised_after_a_whole_answer_is_logged_and_ends_no_connection(log: list[dict[str, Any]]) -> None:
    async def app(asked: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("said", status_code=500)(asked, receive, send)
        raise RuntimeError("broken")

    answer = asyncio.run(ask(observed(app), scope(headers=[(b"x-request-id", b"after")])))
    assert (answer[0], answer[2]) == (500, b"said")
    raised = [
        line for line in log if line["request_id"] == "after" and "RuntimeError: broken" in line.get("exception", "")
    ]
    assert len(raised) == 1


def test_what_is_raised_in_the_middle_of_an_answer_goes_on() -> None:
    async def app(_asked: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(ask(observed(app), scope()))


def test_probes_leave_no_line_and_no_count(log: list[dict[str, Any]]) -> None:
    async def app(asked: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("ok")(asked, receive, send)

    before = REGISTRY.get_sample_value("mlflow_http_requests_total", {"method": "GET", "route": "/template"})
    for path in ("/live", "/ready", "/metrics"):
        assert asyncio.run(ask(observed(app), scope(path)))[0] == 200
    assert log == []
    assert REGISTRY.get_sample_value("mlflow_http_requests_total", {"method": "GET", "route": "/template"}) == before


def test_a_token_in_a_path_is_masked(log: list[dict[str, Any]]) -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2lnbmF0dXJl"
    asyncio.run(ask(observed(PlainTextResponse("ok")), scope(f"/a/{token}")))
    assert log[0]["path"] == "/a/[token]"


ROUTES = Map([Rule("/runs/<run_id>", methods=["GET"], endpoint="run"), Rule("/files/<path:path>", endpoint="file")])


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/runs/1", "GET", "/runs/<run_id>"),
        ("/files/a/b", "GET", "/files/<path:path>"),
        ("/runs/1", "PATCH", OTHER),
        ("/runs/1", "NONSENSE", OTHER),
        ("/runs//1", "GET", OTHER),
        ("/none", "GET", OTHER),
        ("", "GET", OTHER),
        ("*", "OPTIONS", OTHER),
        ("/runs/\x00\udcff", "GET", "/runs/<run_id>"),
    ],
)
def test_a_template_stands_for_every_path(path: str, method: str, expected: str) -> None:
    assert template(ROUTES)(scope(path, method)) == expected


def test_requests_beyond_the_bound_are_refused_at_once_and_probes_never() -> None:
    async def serve() -> None:
        release = asyncio.Event()

        async def app(asked: Scope, receive: Receive, send: Send) -> None:
            if asked["path"] == "/slow":
                await release.wait()
            await PlainTextResponse("ok")(asked, receive, send)

        shedding = Shedding(app, 2)
        slow = [asyncio.create_task(ask(shedding, scope("/slow"))) for _ in range(2)]
        await asyncio.sleep(0)
        status, headers, body = await ask(shedding, scope())
        assert status == 503
        assert patience(headers) > OUTAGE_SECONDS
        assert json.loads(body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
        for path in ("/live", "/ready", "/metrics"):
            assert (await ask(shedding, scope(path)))[0] == 200
        release.set()
        assert [answer[0] for answer in await asyncio.gather(*slow)] == [200, 200]
        assert (await ask(shedding, scope()))[0] == 200

    asyncio.run(serve())


def test_a_transfer_is_in_flight_until_it_begins() -> None:
    async def serve() -> None:
        release = asyncio.Event()

        async def app(asked: Scope, receive: Receive, send: Send) -> None:
            if asked["path"] == "/transfer":
                begin_transfer(asked)
                begin_transfer(asked)
                await release.wait()
            await PlainTextResponse("ok")(asked, receive, send)

        shedding = Shedding(app, 1)
        transfers = [asyncio.create_task(ask(shedding, scope("/transfer"))) for _ in range(5)]
        await asyncio.sleep(0)
        assert (await ask(shedding, scope()))[0] == 200
        release.set()
        assert [answer[0] for answer in await asyncio.gather(*transfers)] == [200] * 5
        assert b"mlflow_http_requests_in_flight 0.0" in exposition()

    asyncio.run(serve())


def test_a_whole_answer_that_its_client_takes_slowly_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the bridge to Flask sends it: all of it, and then the end, which waits for the client."""
    monkeypatch.setattr(load_shedding, "HELD_BYTES", 20)
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]}
    parts = [{"type": "http.response.body", "body": b"five5", "more_body": True}] * 2
    end = {"type": "http.response.body", "body": b"", "more_body": False}

    async def serve() -> None:
        taken = asyncio.Event()

        async def slowly(message: Message) -> None:
            if message.get("body") == b"":
                await taken.wait()

        async def app(asked: Scope, receive: Receive, send: Send) -> None:
            if asked["path"] != "/large":
                await PlainTextResponse("ok")(asked, receive, send)
                return
            for message in (start, *parts, end):
                await send(message)

        async def nothing() -> Message:
            raise AssertionError

        shedding = Shedding(app, 1)
        large = [asyncio.create_task(shedding(scope("/large"), nothing, slowly)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await ask(shedding, scope()))[0] == 200
        # What the replica holds for slow clients has a bound: from there on they keep their places.
        large.append(asyncio.create_task(shedding(scope("/large"), nothing, slowly)))
        await asyncio.sleep(0)
        assert (await ask(shedding, scope()))[0] == 503
        taken.set()
        await asyncio.gather(*large)
        assert (await ask(shedding, scope()))[0] == 200
        # Taken answers have left the bound: as many as before keep no place.
        taken.clear()
        large = [asyncio.create_task(shedding(scope("/large"), nothing, slowly)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await ask(shedding, scope()))[0] == 200
        taken.set()
        await asyncio.gather(*large)

    asyncio.run(serve())
    assert b"mlflow_http_requests_in_flight 0.0" in exposition()


def test_a_rejected_request_is_seen_like_any_other(log: list[dict[str, Any]]) -> None:
    app = observed(Shedding(PlainTextResponse("ok"), 0))
    status, headers, body = asyncio.run(ask(app, scope(headers=[(b"x-request-id", b"away")])))
    assert status == 503
    assert headers["x-request-id"] == json.loads(body)["request_id"] == "away"
    assert (log[-1]["request_id"], log[-1]["status"]) == ("away", 503)


@pytest.mark.parametrize("ends", [True, False])
def test_a_body_is_let_in_before_the_connection_is_free(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_shedding, "LINGER_SECONDS", 0.05)
    events: list[str] = []

    async def serve() -> None:
        parts = iter([True, True, False])

        async def receive() -> Message:
            events.append("part")
            more = next(parts) if ends else True
            await asyncio.sleep(0 if ends else 0.01)
            return {"type": "http.request", "body": b"x", "more_body": more}

        async def send(message: Message) -> None:
            events.append("end" if message.get("more_body") is False else "answer")

        await Shedding(PlainTextResponse("ok"), 0)(scope(), receive, send)

    asyncio.run(serve())
    assert events[:3] == ["answer", "answer", "part"]
    assert events[-1] == "end"
    assert events.count("part") == 3 if ends else events.count("part") >= 1


def test_what_is_raised_or_cancelled_leaves_its_place() -> None:
    async def app(asked: Scope, _receive: Receive, _send: Send) -> None:
        if asked["path"] == "/raise":
            raise RuntimeError
        await asyncio.sleep(60)

    async def serve() -> None:
        shedding = Shedding(app, 1)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await ask(shedding, scope("/raise"))
            task = asyncio.create_task(ask(shedding, scope("/hang")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(serve())
    assert b"mlflow_http_requests_in_flight 0.0" in exposition()
