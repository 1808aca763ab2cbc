"""What GitHub says of the repository that deploys a stack: environments, reviewers, rules, variables.

Source: GitHub REST API, version 2022-11-28, "Deployment environments", "Deployment branch policies", "Actions
variables", "Rules", "Branches", "Repositories" (CODEOWNERS) and "Actions permissions". All calls only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import requests

from delivery.doctor.missing import Missing

T = TypeVar("T")

API: Final = "https://api.github.com"
MAIN: Final = "main"
PREVIEW: Final = "-preview"
"""The end of the name of the environment in which a stack is previewed."""

_VERSION: Final = "2022-11-28"
_SECONDS: Final = 20
_PAGE: Final = 30
_REVIEWERS: Final = "required_reviewers"


class GitHubError(RuntimeError):
    """GitHub refused a call, or did not answer. `status` is 0 where there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment. `reviewers` counts who has to approve, `branches` has those that may deploy, None for all."""

    reviewers: int
    branches: Sequence[str] | None
    variables: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class GitHub:
    """What GitHub said. `environments` has those of the stack that there are, by name.

    `reviewed` is whether the main branch takes changes by pull requests alone, `owned` whether it asks for a review of
    code owners too, and there are some. `token_writes` is whether workflows that name no rights may write,
    `token_proposes` whether a workflow may open a pull request, and with that approve one.
    """

    repository: str
    environments: Mapping[str, Environment] | Missing
    variables: Sequence[str] | Missing
    reviewed: bool | Missing
    owned: bool | Missing
    token_writes: bool | Missing
    token_proposes: bool | Missing


def names(stack: str) -> tuple[str, str]:
    """Return the environments of a stack: where it is deployed, and where it is previewed."""
    return stack, f"{stack}{PREVIEW}"


def ask(repository: str, token: str, stack: str, api: str = API) -> GitHub:
    """Ask for each fact by itself: one that GitHub refuses keeps no other from being known."""

    def get(path: str) -> Any:
        return _get(f"{api}/repos/{repository}{path}", token)

    workflows = _had(lambda: _workflows(get))
    return GitHub(
        repository=repository,
        environments=_had(lambda: _environments(get, names(stack))),
        variables=_had(lambda: _variables(get, "/actions/variables")),
        reviewed=_had(lambda: _reviewed(get)),
        owned=_had(lambda: _owned(get)),
        token_writes=workflows if isinstance(workflows, Missing) else workflows[0],
        token_proposes=workflows if isinstance(workflows, Missing) else workflows[1],
    )


Get = Callable[[str], Any]


def _environments(get: Get, wanted: Sequence[str]) -> dict[str, Environment]:
    found = {}
    for name in wanted:
        path = f"/environments/{quote(name, safe='')}"
        answer = _unless_absent(lambda path=path: get(path))  # type: ignore[misc]
        if answer is None:
            continue
        reviewers = [
            one
            for rule in answer.get("protection_rules") or ()
            if rule.get("type") == _REVIEWERS
            for one in rule.get("reviewers") or ()
        ]
        found[name] = Environment(
            reviewers=len(reviewers),
            branches=_branches(get, path, answer.get("deployment_branch_policy")),
            variables=_variables(get, f"{path}/variables"),
        )
    return found


def _branches(get: Get, path: str, policy: Mapping[str, Any] | None) -> list[str] | None:
    """The branches that may deploy: named ones, or those with a rule of their own."""
    if policy is None:
        return None
    if policy.get("protected_branches"):
        return [MAIN]
    return [str(one["name"]) for one in get(f"{path}/deployment-branch-policies")["branch_policies"]]


def _variables(get: Get, path: str) -> list[str]:
    found: list[str] = []
    page = 1
    while True:
        some = get(f"{path}?per_page={_PAGE}&page={page}")["variables"]
        found += [str(one["name"]) for one in some]
        if len(some) < _PAGE:
            return found
        page += 1


def _reviewed(get: Get) -> bool:
    """By a ruleset, or by the older protection of branches, of which everybody sees only that there is one."""
    rules = {str(one.get("type")) for one in get(f"/rules/branches/{MAIN}")}
    return "pull_request" in rules or bool(get(f"/branches/{MAIN}").get("protected"))


def _owned(get: Get) -> bool:
    """By a ruleset, or by the older protection of branches, which needs Administration: read of the token."""
    rules = [one.get("parameters") or {} for one in get(f"/rules/branches/{MAIN}")]
    asked = any(one.get("require_code_owner_review") for one in rules)
    if not asked and get(f"/branches/{MAIN}").get("protected"):
        reviews = get(f"/branches/{MAIN}/protection").get("required_pull_request_reviews") or {}
        asked = bool(reviews.get("require_code_owner_reviews"))
    # There is no such list where there is no file CODEOWNERS.
    return asked and _unless_absent(lambda: get("/codeowners/errors")) is not None


def _workflows(get: Get) -> tuple[bool, bool]:
    """Whether the token of a workflow that names no rights writes, and whether one may open pull requests."""
    answer = get("/actions/permissions/workflow")
    return answer["default_workflow_permissions"] != "read", bool(answer["can_approve_pull_request_reviews"])


def _unless_absent(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except GitHubError as error:
        if error.status == 404:
            return None
        raise


def _get(url: str, token: str) -> Any:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "X-GitHub-Api-Version": _VERSION,
    }
    path = url.partition("/repos/")[2]
    try:
        answer = requests.get(url, headers=headers, timeout=_SECONDS)
        body = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise GitHubError(f"GitHub: {path}: {type(error).__name__}") from None
    if not answer.ok:
        said = body.get("message", "") if isinstance(body, Mapping) else ""
        raise GitHubError(f"GitHub: {path}: {answer.status_code} {said}".strip(), answer.status_code)
    return body


def _had(ask: Callable[[], T]) -> T | Missing:
    try:
        return ask()
    except (GitHubError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Missing(str(error).splitlines()[0])
