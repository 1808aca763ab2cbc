"""The thread of a pull request on Azure DevOps: one, active only where somebody has to decide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.outcome import CommandError, ExitCode
from delivery.preview.markdown import LONGEST_COMMENT
from delivery.pull_request import azure_devops, command
from delivery.pull_request.server import PullRequest
from tests.delivery.pull_request.test_comment import ACCOUNT, SERVER, plan
from tests.support.json_server import Answer, JsonServer, Request
from tests.support.previews import same, step

TOKEN, REPOSITORY = "of-the-job", "/example/My%20Team/_apis/git/repositories/repo-id"
BASE = f"{REPOSITORY}/pullRequests/7/threads"
TYPES = {"active", "closed", "fixed", "pending", "wontFix", "byDesign", "unknown"}


class DevOps(JsonServer):
    """The threads of one pull request, and pull requests."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[dict[str, Any]] = []
        self.pull_requests: list[dict[str, Any]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SYSTEM_COLLECTIONURI": f"{self.url}/example/",
            "SYSTEM_TEAMPROJECT": "My Team",
            "BUILD_REPOSITORY_ID": "repo-id",
            "SYSTEM_ACCESSTOKEN": TOKEN,
        }

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        assert len(body["description"]) <= 4000
        number = 1 + len(self.pull_requests)
        made = {**body, "pullRequestId": number, "status": "active", "repository": {"name": "ml platform"}}
        self.pull_requests.append(made)
        return made

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["status"] in TYPES
        (comment,) = body["comments"]
        assert (comment["parentCommentId"], comment["commentType"]) == (0, "text")
        made = {**body, "id": 10 + len(self.threads), "comments": [{**comment, "id": 1}], "isDeleted": False}
        self.threads.append(made)
        return made

    def respond(self, request: Request) -> Answer:
        below, query = request.path.removeprefix(BASE), dict(request.query)
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return 203, {}, {}
        if query.pop("api-version") != "7.1":
            return 404, {}, {}
        if request.path == f"{REPOSITORY}/pullrequests":
            return 200, self._of_branch(query) if request.method == "GET" else self.open(request.body), {}
        if below == request.path or query:
            return 404, {}, {}
        if request.method == "GET":
            return 200, {"value": self.threads}, {}
        if request.method == "POST":
            return 200, self.add(request.body), {}
        number = int(re.findall(r"/(\d+)", below)[0])
        one = next(one for one in self.threads if one["id"] == number)
        (one["comments"][0] if "/comments/1" in below else one).update(request.body)
        return 200, one, {}

    def _of_branch(self, asked: dict[str, str]) -> dict[str, Any]:
        assert asked.pop("searchCriteria.status") == "all"
        branch = asked.pop("searchCriteria.sourceRefName")
        assert not asked
        return {"value": [one for one in self.pull_requests if one["sourceRefName"] == branch]}


@pytest.fixture
def devops(monkeypatch: pytest.MonkeyPatch) -> Iterator[DevOps]:
    server = DevOps()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with server.serving():
        yield server


def report(folder: Path) -> int:
    return command.report(folder, pull_request=7, head="abc1234", issues=False)


def test_one_thread_is_active_until_nobody_has_to_decide(devops: DevOps, tmp_path: Path) -> None:
    theirs = devops.add(
        {
            "status": "active",
            "comments": [{"parentCommentId": 0, "commentType": "text", "content": "[//]: # (mlflow-platform:preview)"}],
        }
    )
    folder = tmp_path / "plan-prod"
    plan(folder, "prod", step("delete", SERVER, "server", {"serverName": "s"}))
    assert report(tmp_path) == ExitCode.FAILED
    ours = devops.threads[1]
    assert ours["status"] == "active"
    text = ours["comments"][0]["content"]
    assert text.splitlines()[:2] == ["[//]: # (mlflow-platform:preview)", "## Deployment preview: `prod` refused"]
    assert "would delete" in text
    assert "<details" not in text
    assert "> [!" not in text

    # The same text again leaves what somebody resolved.
    ours["status"] = "fixed"
    report(tmp_path)
    assert ours["status"] == "fixed"
    plan(folder, "prod", step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}))
    assert report(tmp_path) == ExitCode.DONE
    assert (ours["status"], len(devops.threads)) == ("closed", 2)
    assert "routine" in ours["comments"][0]["content"]
    assert theirs["comments"][0]["content"] == "[//]: # (mlflow-platform:preview)"
    plan(folder, "prod", same(ACCOUNT, "store"))
    assert report(tmp_path) == ExitCode.DONE
    assert "no stack changes" in ours["comments"][0]["content"]


def test_a_stack_without_a_plan_is_no_silence(devops: DevOps, tmp_path: Path) -> None:
    def reported() -> int:
        return command.report(tmp_path / "plans", pull_request=7, head="", issues=False, expect=["dev", "prod"])

    assert reported() == ExitCode.FAILED
    plan(tmp_path / "plans" / "plan-prod", "prod", same(ACCOUNT, "store"))
    assert reported() == ExitCode.FAILED
    (thread,) = devops.threads
    assert "**`dev: its job has handed over no plan that can be read; the job's log says why`**" in str(thread)
    assert "prod: its job" not in str(thread)
    plan(tmp_path / "plans" / "plan-dev", "dev", same(ACCOUNT, "store"))
    assert reported() == ExitCode.DONE


def test_a_refusal_names_the_right_and_no_token(
    devops: DevOps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(tmp_path, "prod", same(ACCOUNT, "store"))
    monkeypatch.setenv("SYSTEM_ACCESSTOKEN", "stale")
    with pytest.raises(CommandError, match=r'203.*"Contribute to pull requests"') as refused:
        report(tmp_path)
    assert "stale" not in str(refused.value)


def test_a_long_report_is_cut_and_says_so(devops: DevOps, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for stack in ("dev", "prod", "staging"):
        names = [f"{'resource-' * 40}{number}" for number in range(200)]
        steps = [step("create", ACCOUNT, name, None, {"a": {"b": name}}) for name in names]
        plan(tmp_path, stack, *steps)
    report(tmp_path)
    assert len(devops.threads[0]["comments"][0]["content"]) <= LONGEST_COMMENT + 100


def test_a_promotion_is_a_pull_request(devops: DevOps) -> None:
    server = azure_devops.from_environment(devops.environment)
    assert server is not None
    assert server.pull_request("promote/prod/a") is None
    page = server.open_pull_request("Promote", "a line\n" * 1000, branch="promote/prod/a", onto="main")
    assert page == f"{devops.environment['SYSTEM_COLLECTIONURI']}My%20Team/_git/ml%20platform/pullrequest/1"
    (made,) = devops.pull_requests
    assert (made["sourceRefName"], made["targetRefName"]) == ("refs/heads/promote/prod/a", "refs/heads/main")
    assert made["description"].endswith("a line\n\nThe rest is in the summary of the run.")
    assert server.pull_request("promote/prod/a") == PullRequest(address=page, is_open=True, is_refused=False)
    made["status"] = "abandoned"
    assert server.pull_request("promote/prod/a") == PullRequest(address=page, is_open=False, is_refused=True)
    made["status"] = "completed"
    assert server.pull_request("promote/prod/a") == PullRequest(address=page, is_open=False, is_refused=False)
