"""The few calls to GitHub that write: one comment of a pull request, one issue of a stack, a promotion's pull request.

Source: GitHub REST API, version 2022-11-28, "Issue comments", "Issues" and "Pulls".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from delivery.outcome import CommandError, ExitCode
from delivery.pull_request.server import PullRequest

API: Final = "https://api.github.com"
BOT: Final = "github-actions[bot]"
"""The author that a workflow's own token writes as."""

_VERSION: Final = "2022-11-28"
_SECONDS: Final = 30
_PAGE: Final = 100
_LONGEST_BODY: Final = 65_000
"""GitHub takes 65,536 characters."""

_READY: Final = "**Mark it as ready for review:** its checks and previews start then."
_FORBIDDEN: Final = 403
_NOT_ALLOWED: Final = "not permitted to create or approve pull requests"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Issue:
    """An open issue, or a pull request's comment: `number` names it in later calls."""

    number: int
    body: str


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """One repository, written to as `author`. `token` stands in no message."""

    repository: str
    token: str
    api: str = API
    author: str = BOT

    def put_comment(self, pull_request: int, marker: str, body: str) -> str:
        """Write the one comment whose first line is the marker; return its address. Others' comments stay."""
        comments = f"/issues/{pull_request}/comments"
        for one in self._pages(comments):
            if self._ours(one, marker):
                return str(self._call("PATCH", f"/issues/comments/{one['id']}", {"body": body})["html_url"])
        return str(self._call("POST", comments, {"body": body})["html_url"])

    def open_issue(self, label: str, marker: str) -> Issue | None:
        """The open issue of a label whose first line is the marker."""
        for one in self._pages("/issues", {"state": "open", "labels": label}):
            if "pull_request" not in one and self._ours(one, marker):
                return Issue(number=int(one["number"]), body=str(one["body"]))
        return None

    def create_issue(self, title: str, label: str, body: str) -> int:
        """Open an issue; return its number."""
        return int(self._call("POST", "/issues", {"title": title, "labels": [label], "body": body})["number"])

    def edit_issue(self, number: int, body: str, *, close: bool = False) -> None:
        """Give an issue another text, and close it where `close` says so."""
        state = {"state": "closed", "state_reason": "completed"} if close else {}
        self._call("PATCH", f"/issues/{number}", {"body": body, **state})

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the newest pull request of a branch of this repository, closed ones too."""
        head = f"{self.repository.partition('/')[0]}:{branch}"
        found = self._call(
            "GET", "/pulls", query={"state": "all", "head": head, "sort": "created", "direction": "desc"}
        )
        if not found:
            return None
        newest = found[0]
        is_open = newest["state"] == "open"
        refused = not is_open and newest.get("merged_at") is None
        return PullRequest(address=str(newest["html_url"]), is_open=is_open, is_refused=refused)

    def open_pull_request(self, title: str, body: str, *, branch: str, onto: str) -> str:
        """Open a draft; return its page.

        Checks do not start by themselves on what a workflow's token opens: they do when a person says that the draft
        is ready for review.
        """
        text = f"{_READY}\n\n{body}"
        wanted = {"title": title, "head": branch, "base": onto, "body": text[:_LONGEST_BODY], "draft": True}
        return str(self._call("POST", "/pulls", wanted)["html_url"])

    def _ours(self, one: Mapping[str, Any], marker: str) -> bool:
        first = str(one.get("body") or "").splitlines()[:1]
        return first == [marker] and (one.get("user") or {}).get("login") == self.author

    def _pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        page = 1
        while True:
            found = self._call("GET", path, query={**(query or {}), "per_page": str(_PAGE), "page": str(page)})
            yield from found
            if len(found) < _PAGE:
                return
            page += 1

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None
    ) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": _VERSION,
        }
        with requests.Session() as session:
            session.mount(self.api, HTTPAdapter(max_retries=_RETRIES))
            try:
                answer = session.request(
                    method,
                    f"{self.api}/repos/{self.repository}{path}",
                    json=body,
                    params=query,
                    headers=headers,
                    timeout=_SECONDS,
                )
            except requests.RequestException as error:
                raise CommandError(f"GitHub: {method} {path}: {type(error).__name__}. Run the job again.") from None
        if not answer.ok:
            advice = self._advice(answer)
            raise CommandError(f"GitHub: {method} {path}: {answer.status_code}, {_message(answer)}{advice}")
        return answer.json()

    def _advice(self, answer: requests.Response) -> str:
        if answer.status_code == _FORBIDDEN and _NOT_ALLOWED in _message(answer):
            return (
                ". What allows it lets workflows approve pull requests too: have the main branch ask for a review of "
                f"code owners first. Run: {allow_pull_requests(self.repository)}"
            )
        if answer.status_code in (401, _FORBIDDEN, 404):
            return ". The job needs `permissions: {pull-requests: write, issues: write}`"
        return ""


def allow_pull_requests(repository: str) -> str:
    """Return the command that lets the repository's workflows open pull requests, and with it approve them.

    Source: GitHub REST API, "Actions permissions", "Set default workflow permissions for a repository".
    """
    place = f"repos/{repository}/actions/permissions/workflow"
    return f"gh api --method PUT {place} -F can_approve_pull_request_reviews=true"


# A comment that was made although the answer got lost would be made twice: only what changes nothing is repeated then.
_RETRIES: Final = Retry(
    total=4,
    backoff_factor=1,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "PATCH"),
    raise_on_status=False,
)


def from_environment(environ: Mapping[str, str] = os.environ) -> GitHub:
    """The repository of the running workflow. Raises CommandError where one of its variables is absent."""
    repository, token = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_TOKEN", "")
    if not token or _REPOSITORY.fullmatch(repository) is None:
        raise CommandError(
            "GitHub: GITHUB_REPOSITORY (owner/name) and GITHUB_TOKEN are expected in the environment, as a workflow's "
            "step has them with `env: {GITHUB_TOKEN: ${{ github.token }}}`.",
            ExitCode.USAGE,
        )
    return GitHub(repository=repository, token=token, api=environ.get("GITHUB_API_URL", API))


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        return "no message"
