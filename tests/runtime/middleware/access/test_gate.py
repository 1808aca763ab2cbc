"""What the gate answers, what it lets through to MLflow, and what it writes about it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from mlflow_runtime.middleware.access import audit, current
from mlflow_runtime.middleware.access.gate import Gate
from mlflow_runtime.middleware.access.keys import Keys
from mlflow_runtime.middleware.access.tokens import Tokens
from mlflow_runtime.middleware.draining import Drain
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.application import gate_of, keys_check, middleware, wrapped
from mlflow_runtime.service.health import Readiness
from mlflow_runtime.service.settings import read
from tests.support.asgi import ask, scope
from tests.support.entra_tokens import ACCESS, ANNA, key_set, token
from tests.support.role_environment import whole

GET_RUN = "/api/2.0/mlflow/runs/get"
CREATE_RUN = "/api/2.0/mlflow/runs/create"
Headers = list[tuple[bytes, bytes]]


@dataclass
class Reached:
    """MLflow's place: remembers the headers that came through and who the caller was."""

    seen: list[tuple[dict[str, str], str]] = field(default_factory=list)
    status: int = 200

    async def __call__(self, asked: Scope, receive: Receive, send: Send) -> None:
        found = current.caller()
        assert found is not None
        headers = asked["headers"]
        assert len({name for name, _ in headers}) == len(headers)
        self.seen.append(({name.decode(): value.decode() for name, value in headers}, found.oid))
        await PlainTextResponse("mlflow", self.status)(asked, receive, send)


def match(method: str, path: str) -> str:
    return f"{method} {path}"


def bearer(sent: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {sent}".encode()


def gate(inner: Reached, document: dict[str, Any] | None = None) -> Gate:
    def fetch() -> dict[str, Any]:
        if document is None:
            raise OSError("Entra is away")
        return document

    return Gate(inner, ACCESS, Tokens(ACCESS, Keys(fetch)), match)


def answer(inner: Reached, headers: Headers, path: str = GET_RUN, method: str = "GET") -> tuple[int, dict[str, Any]]:
    status, _, body = asyncio.run(ask(gate(inner, key_set()), scope(path, method, headers)))
    return status, json.loads(body) if body.startswith(b"{") else {}


def test_with_no_access_control_there_is_no_layer_of_it() -> None:
    found = read(ServiceRole.TRACKING, whole("tracking"))
    assert found.access is None
    listed = middleware(found, Drain(), Readiness([]), lambda _: "/t", match)
    layers = [layer(PlainTextResponse()) for layer in listed]
    assert not any(isinstance(layer, Gate) for layer in layers)


@pytest.mark.parametrize(
    ("path", "status"), [("/live", 200), ("/ready", 200), ("/metrics", 200), ("/health", 401), ("/", 401), ("/x", 401)]
)
def test_only_probes_and_metrics_come_before_it(path: str, status: int) -> None:
    found = read(ServiceRole.REGISTRY, whole("registry"))
    layers = middleware(found, Drain(), Readiness([]), lambda _: "/t", match, gate_of(ACCESS, Keys(key_set), match))
    inner = Reached()
    assert asyncio.run(ask(wrapped(inner, layers), scope(path)))[0] == status
    assert inner.seen == []


def test_what_passes_has_one_workspace_and_no_credentials() -> None:
    inner = Reached()
    sent = [
        bearer(token("team-a.Reader")),
        (b"cookie", b"a=b"),
        (b"x-mlflow-workspace", b"team-a"),
        (b"x_mlflow_workspace", b"team-b"),
        (b"x-request-id", b"r"),
    ]
    assert answer(inner, sent)[0] == 200
    assert inner.seen == [({"x-request-id": "r", "x-mlflow-workspace": "team-a"}, ANNA)]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"x-mlflow-workspace", b"x-mlflow-authorization"])
def test_a_header_that_decides_comes_once(name: bytes) -> None:
    inner = Reached()
    status, body = answer(inner, [bearer(token("team-a.Reader")), (name, b"a"), (name, b"a")])
    assert (status, body["error_code"], inner.seen) == (400, "INVALID_PARAMETER_VALUE", [])


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"Bearer a.b.c", b"\xff\xfe"])
def test_nobody_gets_past_it(value: bytes) -> None:
    inner = Reached()
    status, body = answer(inner, [(b"authorization", value)])
    assert (status, body["error_code"], inner.seen) == (401, "UNAUTHENTICATED", [])
    assert "az account get-access-token" in body["message"]
    assert "ml-platform@example.com" in body["message"]


def test_who_is_nobody_learns_where_to_sign_in() -> None:
    status, headers, _ = asyncio.run(ask(gate(Reached(), key_set()), scope(GET_RUN)))
    assert status == 401
    assert headers["www-authenticate"].startswith('Bearer authorization_uri="https://login.microsoftonline.com/')


def test_without_keys_it_is_the_platforms_fault() -> None:
    headers = [bearer(token("team-a.Reader"))]
    status, _, body = asyncio.run(ask(gate(Reached()), scope(GET_RUN, headers=headers)))
    assert (status, json.loads(body)["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")


def test_a_replica_that_never_had_the_keys_is_not_ready_and_refuses_nobody() -> None:
    def away() -> dict[str, Any]:
        raise OSError("Entra is away")

    found = read(ServiceRole.ARTIFACTS, whole("artifacts"))
    keys = Keys(away)
    readiness = Readiness([keys_check(keys)])
    layers = middleware(found, Drain(), readiness, lambda _: "/t", match, gate_of(ACCESS, keys, match))
    app = wrapped(Reached(), layers)
    headers = [bearer(token("team-a.Reader"))]
    assert asyncio.run(ask(app, scope("/ready")))[0] == 503
    assert asyncio.run(ask(app, scope(GET_RUN, headers=headers)))[0] == 503
    assert asyncio.run(ask(app, scope("/live")))[0] == 200


def test_the_ai_gateway_takes_the_token_beside_the_providers_key() -> None:
    inner = Reached()
    sent = [bearer("sk-provider"), (b"x-mlflow-authorization", f"Bearer {token('team-a.Contributor')}".encode())]
    path = "/gateway/anthropic/v1/messages"
    assert answer(inner, sent, path, "POST")[0] == 200
    assert [headers for headers, _ in inner.seen] == [{"x-mlflow-workspace": "team-a"}]
    assert answer(inner, sent, CREATE_RUN, "POST")[0] == 401


def test_a_long_body_is_taken_to_its_end_when_its_token_ends() -> None:
    now = time.time()
    taken: list[bytes] = []

    async def keep(asked: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            taken.append(message["body"])
            if not message["more_body"]:
                await PlainTextResponse("kept")(asked, receive, send)
                return

    async def receive() -> Message:
        nonlocal now
        # A part comes each half hour.
        now += 1800
        return {"type": "http.request", "body": b"part", "more_body": len(taken) < 3}

    statuses: list[int] = []

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    judged = Gate(keep, ACCESS, Tokens(ACCESS, Keys(key_set), clock=lambda: now), match)
    headers = [bearer(token("team-a.Contributor"))]
    for _ in range(2):
        asyncio.run(judged(scope(CREATE_RUN, "POST", headers), receive, send))
    # The second one begins with a token that has ended.
    assert (statuses, taken) == ([200, 401], [b"part"] * 4)


def test_a_websocket_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(gate(Reached(), key_set())({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [
        (record.getMessage(), getattr(record, "fields", {})) for record in caplog.records if record.name == audit.LOGGER
    ]


def test_changes_and_refusals_are_written_and_reads_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)
    inner = Reached(status=404)
    sent = [bearer(token("team-a.Contributor"))]
    answer(inner, sent)
    answer(inner, sent, CREATE_RUN, "POST")
    answer(inner, [*sent, (b"x-mlflow-workspace", b"team-b")])
    answer(inner, [])
    who = {"caller": "anna@example.com", "oid": ANNA, "application": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"}
    assert lines(caplog) == [
        (
            "changed",
            {
                **who,
                **{"workspace": "team-a", "user_role": "Contributor", "route": f"POST {CREATE_RUN}"},
                **{"ids": {}, "status": 404},
            },
        ),
        (
            "refused",
            {
                **who,
                **{"workspace": "team-b", "route": f"GET {GET_RUN}", "ids": {}, "status": 403},
                "reason": "not-a-member",
            },
        ),
        ("refused", {"ids": {}, "status": 401, "reason": "not-signed-in"}),
    ]


def test_the_record_comes_before_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)
    recorded: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        recorded.append(len(lines(caplog)))

    asked = scope(CREATE_RUN, "POST", [bearer(token("team-a.Contributor"))])
    asyncio.run(gate(Reached(), key_set())(asked, receive, send))
    # For the head of the answer, and for its body.
    assert recorded == [1, 1]


def test_a_change_that_gets_no_answer_is_written_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    failing = Gate(fail, ACCESS, Tokens(ACCESS, Keys(key_set)), match)
    asked = scope(CREATE_RUN, "POST", [bearer(token("team-a.Contributor"))])
    with pytest.raises(RuntimeError):
        asyncio.run(ask(failing, asked))
    assert [(event, fields["status"]) for event, fields in lines(caplog)] == [("changed", 500)]


def test_no_route_is_looked_up_for_who_is_not_signed_in() -> None:
    def unwanted(method: str, path: str) -> str:
        raise AssertionError((method, path))

    refusing = Gate(Reached(), ACCESS, Tokens(ACCESS, Keys(key_set)), unwanted)
    for headers in ([], [bearer("a.b.c")], [bearer("a"), bearer("a")]):
        assert asyncio.run(ask(refusing, scope(GET_RUN, headers=headers)))[0] in (400, 401)


def test_the_ids_of_the_query_are_written_and_values_never(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)
    asked = scope(CREATE_RUN, "POST", [bearer(token("team-a.Contributor"))])
    asked["query_string"] = b"run_id=r1&run_id=r2&value=secret&experiment_id=a%20secret%0Aline"
    asyncio.run(ask(gate(Reached(), key_set()), asked))
    ((_, fields),) = lines(caplog)
    # A handler of a POST takes its ids from the body: what the query names may be nothing that was touched.
    assert fields["ids"] == {"query.run_id": ["r1", "r2"]}
    assert "secret" not in json.dumps(fields)


def test_no_caller_makes_a_line_too_long_to_be_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)
    admin = bearer(token("Platform.Admin"))
    long = scope(CREATE_RUN, "POST", [admin, (b"x-mlflow-workspace", b"w" * 20_000)])
    asyncio.run(ask(gate(Reached(), key_set()), long))
    many = scope(CREATE_RUN, "POST", [bearer(token("team-a.Contributor"))])
    many["query_string"] = "&".join(f"a{number}_id={'b' * 200}" for number in range(1000)).encode()
    asyncio.run(ask(gate(Reached(), key_set()), many))
    written = [json.dumps(fields) for _, fields in lines(caplog)]
    assert [len(line) < 8192 for line in written] == [True, True]
    assert lines(caplog)[1][1]["ids_cut"] is True


def test_names_and_paths_of_artifacts_are_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, audit.LOGGER)
    asked = scope(CREATE_RUN, "POST", [bearer(token("team-a.Contributor"))])
    asked["path_params"] = {"artifact_path": "1/r1/artifacts/my model.pkl", "name": "churn model", "other": "x"}
    asyncio.run(ask(gate(Reached(), key_set()), asked))
    ((_, fields),) = lines(caplog)
    assert fields["ids"] == {"artifact_path": ["1/r1/artifacts/my model.pkl"], "name": ["churn model"]}
