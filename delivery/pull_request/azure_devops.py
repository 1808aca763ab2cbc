"""The calls to Azure DevOps that write: one thread of a pull request, and a promotion's pull request.

The thread is resolved unless somebody has to decide: with the branch policy "Check for comment resolution" an active
one keeps the pull request from being completed. Source: Azure DevOps Services REST API 7.1, "Pull Requests", "Pull
Request Threads" and "Pull Request Thread Comments".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import requests

from delivery.outcome import CommandError
from delivery.pull_request.server import PullRequest

ACTIVE: Final = "active"
CLOSED: Final = "closed"
MARKER: Final = "[//]: # (mlflow-platform:preview)"
"""The first line, by which the thread is found again."""

_VERSION: Final = "7.1"
_SECONDS: Final = 30
_HEADS: Final = "refs/heads/"
_ABANDONED: Final = "abandoned"
_LONGEST_DESCRIPTION: Final = 4000
"""Characters that Azure DevOps takes."""

_REST: Final = "\n\nThe rest is in the summary of the run."
_TEXT: Final = "text"
_PROPERTY: Final = "mlflow-platform.preview"
"""A property of the thread, which a person cannot set in the page: so no thread of somebody else is taken for it."""


@dataclass(frozen=True, kw_only=True)
class AzureDevOps:
    """One repository, below the address of its project. `token` stands in no message."""

    project: str
    repository: str
    token: str

    def put_thread(self, pull_request: int, body: str, *, active: bool) -> str:
        """Write the one thread; say what was done. Others' threads stay.

        A thread that somebody resolved is active again only if its text is another one: the decision was on that text.
        """
        threads = f"/pullRequests/{pull_request}/threads"
        text, status = f"{MARKER}\n{body}", ACTIVE if active else CLOSED
        found = next((one for one in self._call("GET", threads)["value"] if _is_ours(one)), None)
        if found is None:
            comment = {"parentCommentId": 0, "content": text, "commentType": _TEXT}
            properties = {_PROPERTY: {"$type": "System.String", "$value": "1"}}
            made = self._call("POST", threads, {"comments": [comment], "status": status, "properties": properties})
            return f"thread {made['id']} is {status}"
        place, first = f"{threads}/{found['id']}", found["comments"][0]
        if first.get("content") == text:
            return f"thread {found['id']} says the same already"
        self._call("PATCH", f"{place}/comments/{first['id']}", {"content": text})
        self._call("PATCH", place, {"status": status})
        return f"thread {found['id']} is edited, and {status}"

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the newest pull request of a branch, closed ones too."""
        query = {"searchCriteria.sourceRefName": f"{_HEADS}{branch}", "searchCriteria.status": "all"}
        found = self._call("GET", "/pullrequests", query=query)["value"]
        newest = max(found, key=lambda one: int(one["pullRequestId"]), default=None)
        if newest is None:
            return None
        status = newest["status"]
        return PullRequest(address=self._page(newest), is_open=status == ACTIVE, is_refused=status == _ABANDONED)

    def open_pull_request(self, title: str, body: str, *, branch: str, onto: str) -> str:
        """Open one; return its page. Its builds start by the policies of the branch that it goes to."""
        ends = {"sourceRefName": f"{_HEADS}{branch}", "targetRefName": f"{_HEADS}{onto}"}
        made = self._call("POST", "/pullrequests", {**ends, "title": title, "description": _cut(body)})
        return self._page(made)

    def _page(self, pull_request: Mapping[str, Any]) -> str:
        name = quote(str(pull_request["repository"]["name"]))
        return f"{self.project}/_git/{name}/pullrequest/{int(pull_request['pullRequestId'])}"

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, query: Mapping[str, str] | None = None
    ) -> Any:
        url = f"{self.project}/_apis/git/repositories/{quote(self.repository)}{path}"
        parameters = {**(query or {}), "api-version": _VERSION}
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        try:
            answer = requests.request(method, url, params=parameters, json=body, headers=headers, timeout=_SECONDS)
            # Whoever is not signed in is answered with a page of the sign-in.
            if answer.ok and answer.status_code != 203:
                return answer.json()
            reason = str(answer.status_code)
        except (requests.RequestException, ValueError) as error:
            reason = type(error).__name__
        raise CommandError(
            f'Azure DevOps: {method} {path}: {reason}. The build service of the project needs the right "Contribute to '
            'pull requests" on the repository, and the step `env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`.'
        )


def from_environment(environ: Mapping[str, str]) -> AzureDevOps | None:
    """The repository of the running pipeline; None outside of one, or without the job's token."""
    collection, project = environ.get("SYSTEM_COLLECTIONURI", ""), environ.get("SYSTEM_TEAMPROJECT", "")
    repository, token = environ.get("BUILD_REPOSITORY_ID", ""), environ.get("SYSTEM_ACCESSTOKEN", "")
    if not (collection and project and repository and token):
        return None
    return AzureDevOps(project=f"{collection.rstrip('/')}/{quote(project)}", repository=repository, token=token)


def _cut(body: str) -> str:
    """The first lines of a text, as many as a description may have."""
    if len(body) <= _LONGEST_DESCRIPTION:
        return body
    return f"{body[: _LONGEST_DESCRIPTION - len(_REST)].rpartition(chr(10))[0]}{_REST}"


def _is_ours(thread: Mapping[str, Any]) -> bool:
    comments = thread.get("comments") or []
    return _PROPERTY in (thread.get("properties") or {}) and bool(comments) and not thread.get("isDeleted")
