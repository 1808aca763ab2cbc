"""One request to a service over a connection that stays open, or to an application in this process."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, replace

from starlette.types import ASGIApp, Message

from tests.support.services import PUBLIC_HOST

V2 = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
JSON = ("content-type", "application/json")
IDLE_SECONDS = 3.0
"""A connection that was idle for longer is opened again: stock MLflow ends it after five seconds."""
# What is the server's and the request's own: its name, the time, and the id by which its log lines are found.
_NOT_COMPARED = frozenset({"server", "date", "x-request-id"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, with words such as `{run}` for the ids that it is for. The body's length and Host are added."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = (JSON,)

    def of(self, **ids: str) -> Request:
        """The request with these ids in place of their words."""
        path, body = self.path, self.body
        for name, found in ids.items():
            path, body = path.replace(f"{{{name}}}", found), body.replace(f"{{{name}}}".encode(), found.encode())
        return replace(self, path=path, body=body)

    @property
    def sent(self) -> dict[str, str]:
        """All headers that go out."""
        return {"host": PUBLIC_HOST, "content-length": str(len(self.body)), **dict(self.headers)}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def without(self, **ids: str) -> Answer:
        """The answer with words such as `{run}` in place of the ids."""
        body = self.body
        for name, found in ids.items():
            body = body.replace(found.encode(), f"{{{name}}}".encode())
        return replace(self, body=body)


class Client:
    """Sends requests to a service of this machine, one after the other."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._sending = threading.Lock()
        self._answered = time.monotonic()

    def ask(self, request: Request) -> Answer:
        """Send a request as it is; threads take turns."""
        with self._sending:
            return self._asked(request)

    def _asked(self, request: Request) -> Answer:
        if time.monotonic() - self._answered > IDLE_SECONDS:
            self._connection.close()
        self._connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.sent.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(request.body or None)
        answer = self._connection.getresponse()
        body = answer.read()
        self._answered = time.monotonic()
        kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _NOT_COMPARED)
        return Answer(status=answer.status, headers=kept, body=body)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


async def ask_inside(app: ASGIApp, request: Request) -> Answer:
    """Send a request to an application of this process."""
    path, _, query = request.path.partition("?")
    scope = {
        "type": "http",
        "method": request.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in request.sent.items()],
    }
    messages: list[Message] = []
    # In two pieces, as a long body comes.
    half = len(request.body) // 2
    parts: list[Message] = [
        {"type": "http.request", "body": request.body[:half], "more_body": True},
        {"type": "http.request", "body": request.body[half:], "more_body": False},
    ]

    async def receive() -> Message:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    headers = tuple((name.decode(), value.decode()) for name, value in messages[0]["headers"])
    return Answer(
        status=messages[0]["status"],
        headers=headers,
        body=b"".join(message.get("body", b"") for message in messages),
    )
