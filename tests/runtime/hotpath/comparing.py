"""The same requests through the hot path and without it, and what differs: answers, and the rows of the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import extensions
from sqlalchemy import URL
from starlette.types import Receive, Scope, Send

from mlflow_runtime.hotpath.layer import HotPath
from tests.runtime.hotpath.asking import V2, Answer, Client, Request, ask_inside

CONNECTIONS = 4
# Its own columns but for the id; the order of rows says nothing.
_ROWS: Mapping[str, str] = {
    "metrics": "key, value, timestamp, step, is_nan",
    "latest_metrics": "key, value, timestamp, step, is_nan",
    "params": "key, value",
    "tags": "key, value",
    "runs": "name, status, end_time, deleted_time IS NULL, lifecycle_stage, user_id",
}
# Headers that the service's own environment decides; those of the real service are compared in a test of their own.
_COMPARED = frozenset({"content-type", "content-length"})


@dataclass
class Sides:
    """MLflow alone at `reference`, a service without a hot path, and a hot path in this process before it.

    Both write to one database: requests are for runs, each side has one of its own.
    """

    reference: Client
    url: URL
    rows: extensions.connection
    experiment: str
    hot: HotPath = field(init=False)
    sequences: int = 0
    requests: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self.runner = asyncio.Runner()
        self.renew()

    def renew(self) -> None:
        """Take a new hot path, with connections of its own."""
        self.hot = HotPath(self._pass, self.url, CONNECTIONS)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """MLflow's application, which is in the other process."""
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
        answer = await asyncio.to_thread(self.reference.ask, request)
        self.answered -= 1
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def run(self) -> str:
        """Id of a new run, whose name is known."""
        body = json.dumps({"experiment_id": self.experiment, "run_name": "r", "start_time": 1}).encode()
        answer = self.reference.ask(Request(path=f"{V2}/runs/create", body=body))
        found: str = json.loads(answer.body)["run"]["info"]["run_id"]
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
        for request in requests:
            self.requests += 1
            answer = self.ask_hot(request.of(ours)).without(ours)
            expected = self.reference.ask(request.of(theirs)).without(theirs)
            if _shown(answer) != _shown(expected):
                found.append(f"{request}: got {_shown(answer)}; MLflow answers {_shown(expected)}")
        return found + self.rows_that_differ(ours, theirs)

    def rows_that_differ(self, ours: str, theirs: str) -> list[str]:
        """Compare the rows of two runs."""
        return [
            f"{table}: got {got}; MLflow has {expected}"
            for table in _ROWS
            if (got := self.rows_of(ours, table)) != (expected := self.rows_of(theirs, table))
        ]

    def rows_of(self, run_id: str, table: str) -> list[tuple[str, ...]]:
        """A run's rows of a table as text, in some order."""
        with self.rows.cursor() as cursor:
            cursor.execute(f"SELECT {_ROWS[table]} FROM {table} WHERE run_uuid = %s", (run_id,))  # noqa: S608
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return sorted(tuple(repr(value).replace(run_id, "{run}") for value in row) for row in found)


def _shown(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    kept = [(name.lower(), value) for name, value in answer.headers if name.lower() in _COMPARED]
    if not answer.body.endswith(b"}"):  # a page of the framework's
        return answer.status, kept, answer.body
    document = json.loads(answer.body)
    document.pop("request_id", None)
    # An answer's length differs with what it says of the request.
    kept = [(name, value) for name, value in kept if name != "content-length"]
    return answer.status, kept, json.dumps(document).encode()
