"""A GitHub of one repository on this machine: issues, comments and pull requests as its REST API has them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from delivery.pull_request.github import BOT, GitHub

REPOSITORY, TOKEN = "example/mlflow-platform", "ghs_of-the-job"
LONGEST_BODY = 65_536


@dataclass
class Stored:
    """What the repository has: comments by pull request, and issues; each call as `METHOD path`."""

    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)
    pull_requests: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """Statuses that the next calls are answered with."""
    said: str = "Resource not accessible by integration"
    """What GitHub says of them."""
    watch: Callable[[str], None] = lambda _: None
    """Called around the work of each call, with "before" and "after"."""

    def add_comment(self, pull_request: int, body: str, author: str = BOT) -> dict[str, Any]:
        number = 1000 + sum(len(found) for found in self.comments.values())
        one = {"id": number, "body": body, "user": {"login": author}, "html_url": f"https://github.test/c/{number}"}
        self.comments.setdefault(pull_request, []).append(one)
        return one

    def add_pull_request(self, wanted: dict[str, Any]) -> dict[str, Any]:
        number = 1 + len(self.pull_requests)
        page = f"https://github.test/pull/{number}"
        one = {**wanted, "number": number, "state": "open", "merged_at": None, "html_url": page}
        self.pull_requests.append(one)
        return one

    def add_issue(self, title: str, body: str, labels: list[str], author: str = BOT) -> dict[str, Any]:
        one = {
            "number": len(self.issues) + 1,
            "title": title,
            "body": body,
            "user": {"login": author},
            "state": "open",
            "labels": [{"name": label} for label in labels],
        }
        self.issues.append(one)
        return one


class _Handler(BaseHTTPRequestHandler):
    stored: Stored

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PATCH(self) -> None:
        self._answer(self._body())

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: Any) -> None:
        address = urlsplit(self.path)
        self.stored.calls.append(f"{self.command} {address.path}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send(401, {"message": "Bad credentials"})
        elif self.stored.failures:
            self._send(self.stored.failures.pop(0), {"message": self.stored.said})
        elif body is not None and len(body.get("body", "")) > LONGEST_BODY:
            self._send(422, {"message": "body is too long"})
        else:
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            self.stored.watch("before")
            answer = self._route(address.path.removeprefix(f"/repos/{REPOSITORY}"), query, body)
            self.stored.watch("after")
            # Nobody may be there any more to hear it.
            with suppress(ConnectionError):
                self._send(*answer)

    def _route(self, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        routes: dict[str, Callable[[int], tuple[int, Any]]] = {
            r"GET /issues/(\d+)/comments": lambda number: (
                200,
                _page(self.stored.comments.get(number, []), query),
            ),
            r"POST /issues/(\d+)/comments": lambda number: (201, self.stored.add_comment(number, body["body"])),
            r"PATCH /issues/comments/(\d+)": lambda number: self._edited(self._comment(number), body),
            r"PATCH /issues/(\d+)": lambda number: self._edited(self.stored.issues[number - 1], body),
            r"GET /issues()": lambda _: (200, _page(self._open(query), query)),
            r"GET /pulls()": lambda _: (200, self._of_branch(query)),
            r"POST /pulls()": lambda _: (201, self.stored.add_pull_request(body)),
            r"POST /issues()": lambda _: (201, self.stored.add_issue(body["title"], body["body"], body["labels"])),
        }
        for pattern, act in routes.items():
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return act(int(found[1] or 0))
        return 404, {"message": "Not Found"}

    def _comment(self, number: int) -> dict[str, Any]:
        return next(one for found in self.stored.comments.values() for one in found if one["id"] == number)

    def _open(self, query: dict[str, str]) -> list[dict[str, Any]]:
        wanted = query["labels"]
        return [
            one
            for one in self.stored.issues
            if one["state"] == query["state"] and wanted in [label["name"] for label in one["labels"]]
        ]

    def _of_branch(self, query: dict[str, str]) -> list[dict[str, Any]]:
        owner, _, branch = query["head"].partition(":")
        assert (owner, query["state"]) == (REPOSITORY.partition("/")[0], "all")
        return [one for one in reversed(self.stored.pull_requests) if one["head"] == branch]

    @staticmethod
    def _edited(one: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        one.update(body)
        return 200, one

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""


def _page(every: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return every[(page - 1) * size : page * size]


@contextmanager
def github() -> Iterator[tuple[GitHub, Stored]]:
    """Yield a client of an empty repository, and what the repository has."""
    stored = Stored()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stored": stored}))
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        api = f"http://127.0.0.1:{server.server_address[1]}"
        yield GitHub(repository=REPOSITORY, token=TOKEN, api=api), stored
    finally:
        server.shutdown()
        server.server_close()
