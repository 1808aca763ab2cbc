"""What the doctor asks GitHub, of a stand-in that knows these calls alone, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from delivery.doctor.github import Environment, GitHub, ask
from delivery.doctor.missing import Missing
from tests.support.json_server import Answer, JsonServer, Request

REPOSITORY, TOKEN = "example/mlflow-platform", "of-the-user"
REVIEWER = {"type": "User", "reviewer": {"login": "ada"}}


class Server(JsonServer):
    """GitHub as its reference says; a test changes `answers`, by path below the repository."""

    def __init__(self) -> None:
        super().__init__()
        branches = {"protected_branches": False, "custom_branch_policies": True}
        rules = [{"type": "branch_policy"}, {"type": "required_reviewers", "reviewers": [REVIEWER]}]
        self.answers: dict[str, Any] = {
            "/environments/staging": {"protection_rules": rules, "deployment_branch_policy": branches},
            "/environments/staging/deployment-branch-policies": {"branch_policies": [{"name": "main"}]},
            "/environments/staging/variables": [{"name": "DEPLOY_CLIENT_ID"}],
            "/environments/staging-preview": {"protection_rules": [], "deployment_branch_policy": None},
            "/environments/staging-preview/variables": [{"name": f"V{number}"} for number in range(40)],
            "/actions/variables": [{"name": "AZURE_TENANT_ID"}],
            "/rules/branches/main": [
                {"type": "pull_request", "parameters": {"require_code_owner_review": True}},
                {"type": "deletion"},
            ],
            "/codeowners/errors": {"errors": []},
            "/branches/main": {"name": "main", "protected": False},
            "/actions/permissions/workflow": {
                "default_workflow_permissions": "read",
                "can_approve_pull_request_reviews": True,
            },
        }
        self.statuses: dict[str, int] = {}

    def ask(self) -> GitHub:
        return ask(REPOSITORY, TOKEN, "staging", self.url)

    def respond(self, request: Request) -> Answer:
        path = request.path.removeprefix(f"/repos/{REPOSITORY}")
        answer = self.answers.get(path)
        if request.headers["Authorization"] != f"Bearer {TOKEN}" or not request.headers["X-GitHub-Api-Version"]:
            return 401, {"message": "Bad credentials"}, {}
        if path in self.statuses:
            return self.statuses[path], {"message": "Resource not accessible by personal access token"}, {}
        if answer is None or request.path == path:
            return 404, {"message": "Not Found"}, {}
        if path.endswith("/variables"):
            page, size = (int(request.query.get(key, default)) for key, default in (("page", 1), ("per_page", 10)))
            return 200, {"total_count": len(answer), "variables": answer[(page - 1) * size : page * size]}, {}
        return 200, answer, {}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    with made.serving():
        yield made


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
        owned=True,
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


def test_code_owners_review_where_main_asks_for_it_and_there_are_some(server: Server) -> None:
    server.answers["/rules/branches/main"] = [{"type": "pull_request", "parameters": {}}]
    assert server.ask().owned is False
    server.answers["/branches/main"]["protected"] = True
    protection: dict[str, Any] = {"required_pull_request_reviews": {"require_code_owner_reviews": True}}
    server.answers["/branches/main/protection"] = protection
    assert server.ask().owned is True
    server.statuses["/branches/main/protection"] = 403
    assert isinstance(server.ask().owned, Missing)
    server.statuses.clear()
    protection.clear()
    assert server.ask().owned is False
    server.answers["/rules/branches/main"][0]["parameters"]["require_code_owner_review"] = True
    del server.answers["/codeowners/errors"]
    assert server.ask().owned is False
