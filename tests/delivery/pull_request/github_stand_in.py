"""A GitHub of one repository on this machine: issues, comments and pull requests as its REST API has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from delivery.pull_request.github import BOT, GitHub
from tests.support.json_server import Answer, JsonServer, Request

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


class _Server(JsonServer):
    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored
        self.calls = stored.calls

    def respond(self, request: Request) -> Answer:
        body = request.body
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}, {}
        if self.stored.failures:
            return self.stored.failures.pop(0), {"message": self.stored.said}, {}
        if body is not None and len(body.get("body", "")) > LONGEST_BODY:
            return 422, {"message": "body is too long"}, {}
        called = f"{request.method} {request.path.removeprefix(f'/repos/{REPOSITORY}')}"
        self.stored.watch("before")
        status, answer = self._route(called, request.query, body)
        self.stored.watch("after")
        return status, answer, {}

    def _route(self, called: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
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
            if found := re.fullmatch(pattern, called):
                return act(int(found[1] or 0))
        return 404, {"message": "Not Found"}

    def _comment(self, number: int) -> dict[str, Any]:
        return next(one for found in self.stored.comments.values() for one in found if one["id"] == number)

    def _open(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        wanted = query["labels"]
        return [
            one
            for one in self.stored.issues
            if one["state"] == query["state"] and wanted in [label["name"] for label in one["labels"]]
        ]

    def _of_branch(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        owner, _, branch = query["head"].partition(":")
        assert (owner, query["state"]) == (REPOSITORY.partition("/")[0], "all")
        return [one for one in reversed(self.stored.pull_requests) if one["head"] == branch]

    @staticmethod
    def _edited(one: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        one.update(body)
        return 200, one


def _page(every: list[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return every[(page - 1) * size : page * size]


@contextmanager
def github() -> Iterator[tuple[GitHub, Stored]]:
    """Yield a client of an empty repository, and what the repository has."""
    stored = Stored()
    server = _Server(stored)
    with server.serving():
        yield GitHub(repository=REPOSITORY, token=TOKEN, api=server.url), stored
