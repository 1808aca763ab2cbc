"""What the doctor asks GitHub, of a stand-in that knows these calls alone, and what it makes of the answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from delivery.doctor.github import Environment, GitHub, ask
from delivery.doctor.missing import Missing

REPOSITORY, TOKEN = "example/mlflow-platform", "of-the-user"
REVIEWER = {"type": "User", "reviewer": {"login": "ada"}}


class Server(ThreadingHTTPServer):
    """GitHub as its reference says; a test changes `answers`, by path below the repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        branches = {"protected_branches": False, "custom_branch_policies": True}
        rules = [{"type": "branch_policy"}, {"type": "required_reviewers", "reviewers": [REVIEWER]}]
        self.answers: dict[str, Any] = {
            "/environments/staging": {"protection_rules": rules, "deployment_branch_policy": branches},
            "/environments/staging/deployment-branch-policies": {"branch_policies": [{"name": "main"}]},
            "/environments/staging/variables": [{"name": "DEPLOY_CLIENT_ID"}],
            "/environments/staging-preview": {"protection_rules": [], "deployment_branch_policy": None},
            "/environments/staging-preview/variables": [{"name": f"V{number}"} for number in range(40)],
            "/actions/variables": [{"name": "AZURE_TENANT_ID"}],
            "/rules/branches/main": [{"type": "pull_request"}, {"type": "deletion"}],
            "/branches/main": {"name": "main", "protected": False},
            "/actions/permissions/workflow": {
                "default_workflow_permissions": "read",
                "can_approve_pull_request_reviews": True,
            },
        }
        self.statuses: dict[str, int] = {}
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def ask(self) -> GitHub:
        return ask(REPOSITORY, TOKEN, "staging", f"http://127.0.0.1:{self.server_address[1]}")


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix(f"/repos/{REPOSITORY}")
        query = {key: int(values[0]) for key, values in parse_qs(address.query).items()}
        answer = self.server.answers.get(path)
        if self.headers["Authorization"] != f"Bearer {TOKEN}" or not self.headers["X-GitHub-Api-Version"]:
            self._send(401, {"message": "Bad credentials"})
        elif path in self.server.statuses:
            self._send(self.server.statuses[path], {"message": "Resource not accessible by personal access token"})
        elif answer is None or address.path == path:
            self._send(404, {"message": "Not Found"})
        elif path.endswith("/variables"):
            start = (query.get("page", 1) - 1) * query.get("per_page", 10)
            some = answer[start : start + query.get("per_page", 10)]
            self._send(200, {"total_count": len(answer), "variables": some})
        else:
            self._send(200, answer)

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def test_github_is_asked_for_what_the_workflows_need(server: Server) -> None:
    answer = server.ask()
    assert answer == GitHub(
        repository=REPOSITORY,
        environments={
            "staging": Environment(reviewers=1, branches=["main"], variables=["DEPLOY_CLIENT_ID"]),
            "staging-preview": Environment(
                reviewers=0, branches=None, variables=[f"V{number}" for number in range(40)]
            ),
        },
        variables=["AZURE_TENANT_ID"],
        reviewed=True,
        token_writes=False,
        token_proposes=True,
    )


def test_an_environment_that_is_not_there_is_left_out(server: Server) -> None:
    del server.answers["/environments/staging-preview"]
    environments = server.ask().environments
    assert not isinstance(environments, Missing)
    assert [*environments] == ["staging"]


def test_what_a_token_may_not_read_keeps_nothing_else_from_being_known(server: Server) -> None:
    server.statuses = {"/actions/variables": 403, "/rules/branches/main": 500}
    answer = server.ask()
    assert answer.variables == Missing(
        "GitHub: example/mlflow-platform/actions/variables?per_page=30&page=1: 403 Resource not accessible by personal "
        "access token"
    )
    assert isinstance(answer.reviewed, Missing)
    assert answer.token_writes is False
    assert not isinstance(answer.environments, Missing)


def test_the_older_protection_of_a_branch_counts_too(server: Server) -> None:
    server.answers["/rules/branches/main"] = []
    assert server.ask().reviewed is False
    server.answers["/branches/main"]["protected"] = True
    assert server.ask().reviewed is True
