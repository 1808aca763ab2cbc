"""The comment of a pull request and the issue of a stack, on a stand-in for GitHub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.outcome import CommandError, ExitCode
from delivery.pull_request import command, drift_issue
from delivery.pull_request import github as product
from delivery.pull_request.comment import MARKER
from delivery.pull_request.github import GitHub, from_environment
from tests.delivery.pull_request.github_stand_in import REPOSITORY, TOKEN, Stored, github

NOW, LATER = datetime(2026, 11, 28, 3, 10, tzinfo=UTC), datetime(2026, 11, 29, 3, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have calls repeated as often as ever, without the seconds in between."""
    monkeypatch.setattr(product, "_RETRIES", product._RETRIES.new(backoff_factor=0))


@pytest.fixture
def repository() -> Iterator[tuple[GitHub, Stored]]:
    with github() as found:
        yield found


def test_a_pull_request_has_one_comment(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    client.put_comment(7, MARKER, f"{MARKER}\nfirst")
    client.put_comment(7, MARKER, f"{MARKER}\nsecond")
    client.put_comment(8, MARKER, f"{MARKER}\nof another")
    assert [one["body"] for one in stored.comments[7]] == [f"{MARKER}\nsecond"]
    assert len(stored.comments[8]) == 1


def test_the_comment_is_found_on_a_later_page_and_nobody_elses_is_edited(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    copied = stored.add_comment(7, f"{MARKER}\nby a person who copied it", author="mallory")
    quoted = stored.add_comment(7, f"> {MARKER}\nquoted")
    longer = stored.add_comment(7, f"{MARKER[:-4]} stack=prod -->\nanother marker")
    for number in range(250):
        stored.add_comment(7, f"comment {number}", author="somebody")
    ours = stored.add_comment(7, f"{MARKER}\nours")
    client.put_comment(7, MARKER, f"{MARKER}\nnew")
    assert ours["body"] == f"{MARKER}\nnew"
    assert [one["body"].splitlines()[-1] for one in (copied, quoted, longer)] == [
        "by a person who copied it",
        "quoted",
        "another marker",
    ]
    assert len(stored.comments[7]) == 254


def test_reading_is_repeated_and_a_comment_is_not_made_twice(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    stored.failures = [502, 503]
    client.put_comment(7, MARKER, MARKER)
    assert stored.calls == ["GET /repos/example/mlflow-platform/issues/7/comments"] * 3 + [
        "POST /repos/example/mlflow-platform/issues/7/comments"
    ]
    stored.calls.clear()
    stored.comments.clear()

    class FailingPost(list[int]):
        def __bool__(self) -> bool:
            return stored.calls[-1].startswith("POST")

        def pop(self, index: Any = -1) -> int:  # noqa: ARG002 - as a list's
            return 502

    stored.failures = FailingPost()
    with pytest.raises(CommandError, match=r"POST /issues/7/comments: 502"):
        client.put_comment(7, MARKER, MARKER)
    assert [call.split()[0] for call in stored.calls] == ["GET", "POST"]


def test_a_missing_right_is_named_and_the_token_is_not(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    stored.failures = [403]
    with pytest.raises(CommandError, match="pull-requests: write") as refused:
        client.put_comment(7, MARKER, MARKER)
    assert TOKEN not in str(refused.value)
    gone = GitHub(repository=REPOSITORY, token=TOKEN, api="http://127.0.0.1:9")
    with pytest.raises(CommandError, match="POST /issues: ConnectionError") as refused:
        gone.create_issue("title", "drift", "body")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"GITHUB_REPOSITORY": REPOSITORY},
        {"GITHUB_TOKEN": TOKEN},
        {"GITHUB_REPOSITORY": "a/b/c", "GITHUB_TOKEN": "t"},
    ],
)
def test_the_variables_of_a_workflow_are_wanted(environ: Mapping[str, str]) -> None:
    with pytest.raises(CommandError, match="GITHUB_REPOSITORY") as refused:
        from_environment(environ)
    assert refused.value.code == ExitCode.USAGE


def test_a_workflow_says_where_github_is() -> None:
    found = from_environment(
        {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": "https://ghe/api"}
    )
    assert (found.repository, found.token, found.api) == (REPOSITORY, TOKEN, "https://ghe/api")


def drifted(stack: str, *resources: str) -> dict[str, Any]:
    return {
        "version": 1,
        "stack": stack,
        "title": f"Drift in {stack}",
        "issue": f"### {', '.join(resources) or 'nothing'}\n",
        "lines": [{"resource": name} for name in resources],
    }


def test_a_stack_has_one_issue_which_is_edited_and_closed(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    assert drift_issue.put(client, drifted("prod"), NOW) == "prod: no drift"
    stored.add_issue("copied", f"{drift_issue.marker('prod')}\nby a person", ["drift"], author="mallory")
    assert drift_issue.put(client, drifted("prod", "store-account"), NOW) == "prod: issue 2 is open"
    assert drift_issue.put(client, drifted("prod-eu", "vault"), NOW) == "prod-eu: issue 3 is open"
    assert drift_issue.put(client, drifted("prod", "group"), LATER) == "prod: issue 2 is edited"
    issue = stored.issues[1]
    assert (issue["title"], issue["labels"]) == ("Drift in prod", [{"name": "drift"}])
    assert issue["body"].splitlines()[:2] == [
        "<!-- mlflow-platform:drift stack=prod -->",
        "First seen 2026-11-28 03:10 UTC, last checked 2026-11-29 03:10 UTC.",
    ]
    assert "### group" in issue["body"]
    assert drift_issue.put(client, drifted("prod"), LATER) == "prod: no drift any more, issue 2 is closed"
    assert [one["state"] for one in stored.issues] == ["open", "closed", "open"]
    # The next drift is another issue.
    assert drift_issue.put(client, drifted("prod", "group"), LATER) == "prod: issue 4 is open"


@pytest.mark.parametrize(
    "document", [{}, "text", [{"version": 2}], {**drifted("prod"), "stack": "../prod"}, {**drifted("prod"), "lines": 1}]
)
def test_another_document_is_refused(tmp_path: Path, repository: tuple[GitHub, Stored], document: object) -> None:
    client, stored = repository
    (tmp_path / "prod.json").write_text(json.dumps(document))
    with pytest.raises(CommandError, match=r"prod\.json: .* Give the output of `mlflow-platform drift STACK --json`"):
        command.write_issues([tmp_path / "prod.json"], client)
    assert stored.calls == []


def test_a_refused_pull_request_says_what_allows_it(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    stored.failures, stored.said = [403], "GitHub Actions is not permitted to create or approve pull requests."
    with pytest.raises(CommandError) as refused:
        client.open_pull_request("Promote", "text", branch="promote/prod/a", onto="main")
    place = f"repos/{REPOSITORY}/actions/permissions/workflow"
    assert str(refused.value).endswith(f" Run: gh api --method PUT {place} -F can_approve_pull_request_reviews=true")
    assert "lets workflows approve pull requests too" in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_the_newest_pull_request_of_a_branch_counts(repository: tuple[GitHub, Stored]) -> None:
    client, stored = repository
    assert client.pull_request("promote/prod/a") is None
    client.open_pull_request("Promote", "x" * 100_000, branch="promote/prod/a", onto="main")
    stored.pull_requests[0]["state"] = "closed"
    first = client.pull_request("promote/prod/a")
    assert first is not None
    assert (first.is_open, first.is_refused) == (False, True)
    stored.pull_requests[0]["merged_at"] = "2026-11-29T03:10:00Z"
    assert client.pull_request("promote/prod/a") == replace(first, is_refused=False)
    client.open_pull_request("Promote", "again", branch="promote/prod/a", onto="main")
    second = client.pull_request("promote/prod/a")
    assert second is not None
    assert (second.address, second.is_open, second.is_refused) == ("https://github.test/pull/2", True, False)
    assert client.pull_request("promote/prod/b") is None
