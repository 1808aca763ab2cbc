"""The last middleware: it answers the hot calls, and passes all else to MLflow's application untouched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app as fastapi_app
from mlflow.server.fastapi_security import HostValidationMiddleware, get_allowed_hosts, get_allowed_origins
from mlflow.server.security_utils import is_allowed_host_header
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlflow_runtime.hotpath import requests, searches, together
from mlflow_runtime.hotpath.connections import Connection, Lost, NotConnected, Pool, Refused, Unfit
from mlflow_runtime.hotpath.plain import NotPlain
from mlflow_runtime.hotpath.requests import Call, Read
from mlflow_runtime.hotpath.sources import changed
from mlflow_runtime.hotpath.statements import LOG_METRICS_OF_RUNS, REVISIONS
from mlflow_runtime.hotpath.together import Found, Together
from mlflow_runtime.metrics import hot_path as metrics
from mlflow_runtime.middleware.access import audit, current
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE
from mlflow_runtime.patches.database_errors import explain

MOST_BYTES: Final = 1 << 20
"""A longer body goes to MLflow. Its own limit of a batch is 1000 metrics, a tenth of that."""

_CALLS: Final[Mapping[tuple[str, str], Read]] = {
    ("POST", "runs/create"): requests.create_run,
    ("POST", "runs/update"): requests.update_run,
    ("GET", "runs/get"): requests.get_run,
    ("POST", "runs/log-metric"): requests.log_metric,
    ("POST", "runs/log-parameter"): requests.log_param,
    ("POST", "runs/log-batch"): requests.log_batch,
    ("POST", "runs/set-tag"): requests.set_tag,
    ("POST", "runs/search"): searches.search_runs,
    ("POST", "experiments/search"): searches.search_experiments,
    ("GET", "experiments/search"): searches.search_experiments_of_query,
    ("GET", "metrics/get-history"): requests.get_history,
    ("GET", "metrics/get-history-bulk-interval"): requests.sample_history,
}
ROUTES: Final[Mapping[tuple[str, str], Read]] = {
    (method, f"{prefix}/2.0/mlflow/{path}"): read
    for (method, path), read in _CALLS.items()
    for prefix in ("/api", "/ajax-api")
}
"""What is answered here, by method and path. A POST gives what it asks for in its body, a GET in its query."""

_JSON: Final = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})
_NOT_PLAIN: Final = frozenset({b"transfer-encoding", b"content-encoding"})
_WORKSPACE: Final = b"x-mlflow-workspace"

Head = Sequence[tuple[bytes, bytes]]
"""The headers of an answer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and JSON of an answer."""

    status: int
    body: bytes


class HotPath:
    """ASGI middleware, over a pool of `connections` to MLflow's tracking database at `url`. MLflow must be loaded.

    With `workspaces` it stands behind the gate of access control: each request has a caller and a workspace, in which
    alone it finds anything. It is off, and says so once, for an MLflow or a schema that it was not written for.
    """

    def __init__(self, app: ASGIApp, url: URL, connections: int, *, workspaces: bool = False) -> None:
        self._app = app
        # Of few connections none is kept for those that take long.
        long = connections // 4
        self._pool = Pool(url, connections - long)
        self._long = Pool(url, long, long=True) if long else self._pool
        self._together = Together(self._logged)
        self._workspaces = workspaces
        self._hosts = get_allowed_hosts()
        # None for a request without one. A pattern's origins are MLflow's.
        self._origins: frozenset[bytes | None] = frozenset({None, *(each.encode() for each in get_allowed_origins())})
        self._heads: dict[bytes | None, Head | None] = {}
        self._on = True
        metrics.ON.set(1)
        if found := changed():
            self._turn_off(f"MLflow's {', '.join(found)} changed")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = ROUTES.get((scope["method"], scope["path"])) if self._on and scope["type"] == "http" else None
        headers = dict(scope["headers"]) if read else {}
        head = await self._head_of(scope, headers) if read and self._is_plain(scope, headers) else None
        if read is None or head is None:
            await self._app(scope, receive, send)
            return
        messages = await _body(receive)
        body = b"".join(message.get("body", b"") for message in messages)
        workspace = headers.get(_WORKSPACE, b"").decode("latin-1") or DEFAULT_WORKSPACE
        answer = await self._answer(read, scope, body, workspace)
        if answer is None:
            metrics.PASSED.inc()
            await self._app(scope, _replayed(messages, receive), send)
            return
        (metrics.ANSWERED if answer.status == HTTPStatus.OK else metrics.LOST).inc()
        length = str(len(answer.body)).encode()
        whole = [(name, length if name == b"content-length" else value) for name, value in head]
        await send({"type": "http.response.start", "status": answer.status, "headers": whole})
        await send({"type": "http.response.body", "body": answer.body})

    async def _head_of(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Head | None:
        """The headers of an answer to a page of this origin, None if MLflow answers it in another way."""
        origin = headers.get(b"origin")
        if origin not in self._heads:
            self._heads[origin] = await _whole_head(scope, origin)
        return self._heads[origin]

    def _is_plain(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether MLflow's own middleware and framework would do nothing special with the request."""
        return (
            (_is_plain_post if scope["method"] == "POST" else _is_plain_get)(scope, headers)
            and len(headers) == len(scope["headers"])
            and headers.keys().isdisjoint(_NOT_PLAIN)
            and headers.get(b"origin") in self._origins
            and self._is_of_workspace(headers)
            and (not self._hosts or is_allowed_host_header(self._hosts, headers.get(b"host", b"").decode("latin-1")))
        )

    def _is_of_workspace(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether it names a workspace that the gate has decided, or none where there are none, as MLflow refuses."""
        named = _WORKSPACE in headers
        return named and current.caller() is not None if self._workspaces else not named

    async def _answer(self, read: Read, scope: Scope, body: bytes, workspace: str) -> Answer | None:
        """Do what the request asks for; None where that is MLflow's to do."""
        try:
            given = requests.of_body(body) if scope["method"] == "POST" else requests.of_query(scope["query_string"])
            wanted = requests.calls(read, given)
        except NotPlain:
            return None
        if self._workspaces:
            for name, value in given.items():
                audit.touch_named(name, value if isinstance(value, list) else [value])
        try:
            if together.shares(wanted):
                found = await self._together.run(wanted[0], workspace)
            else:
                async with self._pool_of(wanted).connection() as connection:
                    found = await self._done(connection, wanted, workspace)
        except Unfit as error:
            self._turn_off(f"the database does not take its statements, {error}")
            return None
        except Refused as error:
            # A search may take longer than it gets here: MLflow takes the time.
            expected = error.for_values or all(call.is_long for call in wanted)
            level = logging.INFO if expected else logging.WARNING
            _log.log(level, "the database refused a statement of the hot path, MLflow answers: %s", error)
            return None
        except (NotConnected, ValueError):
            return None  # nothing was sent
        except Lost as error:
            return _unavailable(error)
        if found is None:
            return None
        # Outside: what goes wrong now must not have MLflow write it again.
        try:
            last = wanted[-1]
            # A thread makes way for the event loop while it writes thousands of rows.
            body = await asyncio.to_thread(last.answer, found) if last.is_long else last.answer(found)
        except NotPlain:
            return None  # nothing was written
        return Answer(status=HTTPStatus.OK, body=body)

    def _pool_of(self, wanted: Sequence[Call]) -> Pool:
        return self._long if any(call.is_long for call in wanted) else self._pool

    async def _logged(self, calls: Sequence[Call], workspace: str) -> Sequence[Found]:
        """What calls that log metrics of several runs found, when all is committed."""
        async with self._pool.connection() as connection:
            if len(calls) == 1:
                return [await self._done(connection, calls, workspace)]
            row = await connection.run(LOG_METRICS_OF_RUNS.execute, (workspace, *together.values(calls)))
        active, revision = row or ((), None)
        self._look_at(revision)
        return [[] if call.run_id in active else None for call in calls]

    async def _done(self, connection: Connection, wanted: Sequence[Call], workspace: str) -> Found:
        """What the last call found, once all are done and committed; None where none of them is.

        Raises Lost only where one may be committed all the same.
        """
        if not wanted:
            return None
        whole = len(wanted) > 1 or any(call.is_partial for call in wanted)
        begin, found = "BEGIN; " if whole else "", list[Any]()
        for call in wanted:
            try:
                row = await connection.run(begin + call.statement.execute, (workspace, *call.values))
            except Lost:
                if whole or call.only_reads:
                    return None
                raise
            begin = ""
            done, revision, *found = row or (False, None)
            self._look_at(revision)
            if not done:
                if whole:
                    with contextlib.suppress(Lost, Refused):  # without its answer the connection is closed
                        await connection.run("ROLLBACK")
                return None
        if whole:
            await connection.run("COMMIT")
        return found

    def _look_at(self, revision: str | None) -> None:
        if revision not in REVISIONS:
            self._turn_off(f"the schema is at revision {revision!r}")

    def _turn_off(self, reason: str) -> None:
        if self._on:
            self._on = False
            for pool in {self._pool, self._long}:
                pool.close()
            metrics.ON.set(0)
            _log.warning("the hot path is off, MLflow answers every request: %s", reason)


def _is_plain_post(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"")
    return (
        not scope["query_string"]
        and headers.get(b"content-type") in _JSON
        and length.isdigit()
        and int(length) <= MOST_BYTES
    )


def _is_plain_get(_scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") == b"0"


def _unavailable(lost: Lost) -> Answer:
    """What MLflow's store answers when it loses its connection (`_get_managed_session_maker`)."""
    error = MlflowException(*explain(OperationalError(None, None, lost), TEMPORARILY_UNAVAILABLE))
    return Answer(status=error.get_http_status_code(), body=error.serialize_as_json().encode())


async def _whole_head(scope: Scope, origin: bytes | None) -> Head | None:
    """Learn the headers of an answer to a plain request of an origin, but for the length: they are the same for each.

    None if MLflow refuses the origin.
    """
    learned: list[Message] = []

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": _head(origin)})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def learn(message: Message) -> None:
        learned.append(message)

    await _inside_mlflows_middleware(answer)(scope, receive, learn)
    headers: Head = learned[0]["headers"]
    return headers if learned[0]["status"] == HTTPStatus.OK else None


def _inside_mlflows_middleware(app: ASGIApp) -> ASGIApp:
    """The application inside MLflow's middleware, for what it adds to an answer.

    Its two functions do nothing for a plain request, and the host was looked at before.
    """
    for each in reversed(fastapi_app.user_middleware):
        if each.cls not in (BaseHTTPMiddleware, HostValidationMiddleware):
            app = each.cls(app, *each.args, **each.kwargs)
    return app


def _head(origin: bytes | None) -> Head:
    """The headers of an answer of MLflow's handlers to a plain request, but for the length: Flask's part of them."""
    method, path = next(iter(ROUTES))
    asked = {} if origin is None else {"Origin": origin.decode("latin-1")}
    with flask_app.test_request_context(path, method=method, headers=asked) as context:
        answer = flask_app.process_response(flask_app.response_class(b"", mimetype="application/json"))
        found = answer.get_wsgi_headers(context.request.environ)
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in found.items()]


async def _body(receive: Receive) -> Sequence[Message]:
    """The messages of a body, the last of which says that it ends or that the client is gone."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _replayed(messages: Sequence[Message], receive: Receive) -> Receive:
    """What the application receives: these messages, and then what becomes of the connection."""
    left = list(reversed(messages))

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
