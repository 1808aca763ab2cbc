"""The thread of a pull request on Azure DevOps: one, active only where somebody has to decide."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from delivery.outcome import CommandError, ExitCode
from delivery.preview.markdown import LONGEST_COMMENT
from delivery.pull_request import azure_devops, command
from delivery.pull_request.server import PullRequest
from tests.delivery.pull_request.test_comment import ACCOUNT, SERVER, plan
from tests.support.previews import same, step

TOKEN, REPOSITORY = "of-the-job", "/example/My%20Team/_apis/git/repositories/repo-id"
BASE = f"{REPOSITORY}/pullRequests/7/threads"
TYPES = {"active", "closed", "fixed", "pending", "wontFix", "byDesign", "unknown"}


class DevOps(ThreadingHTTPServer):
    """The threads of one pull request, and pull requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.threads: list[dict[str, Any]] = []
        self.pull_requests: list[dict[str, Any]] = []
        self.calls: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SYSTEM_COLLECTIONURI": f"http://127.0.0.1:{self.server_address[1]}/example/",
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


class _Handler(BaseHTTPRequestHandler):
    server: DevOps

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def do_PATCH(self) -> None:
        self.do_POST()

    def _answer(self, body: dict[str, Any]) -> None:
        path, _, query = self.path.partition("?")
        self.server.calls.append(f"{self.command} {path.removeprefix(BASE)}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._send(203, {})
        elif path == f"{REPOSITORY}/pullrequests":
            asked = {key: values[0] for key, values in parse_qs(query).items()}
            assert asked.pop("api-version") == "7.1"
            self._send(200, self._of_branch(asked) if self.command == "GET" else self.server.open(body))
        elif not path.startswith(BASE) or query != "api-version=7.1":
            self._send(404, {})
        elif self.command == "GET":
            self._send(200, {"value": self.server.threads})
        elif self.command == "POST":
            self._send(200, self.server.add(body))
        else:
            number = int(re.findall(r"/(\d+)", path.removeprefix(BASE))[0])
            one = next(one for one in self.server.threads if one["id"] == number)
            (one["comments"][0] if "/comments/1" in path else one).update(body)
            self._send(200, one)

    def _of_branch(self, asked: dict[str, str]) -> dict[str, Any]:
        assert asked.pop("searchCriteria.status") == "all"
        branch = asked.pop("searchCriteria.sourceRefName")
        assert not asked
        return {"value": [one for one in self.server.pull_requests if one["sourceRefName"] == branch]}

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""


@pytest.fixture
def devops(monkeypatch: pytest.MonkeyPatch) -> Iterator[DevOps]:
    server = DevOps()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.shutdown()
    server.server_close()


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
