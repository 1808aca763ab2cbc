"""What the repository on GitHub needs for the workflows: environments, reviewers, variables, a rule on its branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from delivery.doctor.checks.check import Finding, failed, ok, some, warning
from delivery.doctor.facts import Facts
from delivery.doctor.github import MAIN, PREVIEW, names
from delivery.doctor.missing import known
from delivery.pull_request.github import allow_pull_requests

_COMMON: Final = ("AZURE_TENANT_ID", "ARM_SUBSCRIPTION_ID", "STATE_ACCOUNT", "PULUMI_BACKEND_URL")


def wanted(environment: str) -> Sequence[str]:
    """Return the variables that the workflows read in an environment of a stack."""
    return ("PREVIEW_CLIENT_ID" if environment.endswith(PREVIEW) else "DEPLOY_CLIENT_ID", *_COMMON)


def environments(facts: Facts) -> Finding:
    github = known(facts.github)
    there = known(github.environments)
    missing = [name for name in names(facts.stack) if name not in there]
    if missing:
        return failed(
            f"{some(missing)} not in {github.repository}",
            *(f"gh api --method PUT repos/{github.repository}/environments/{name}" for name in missing),
        )
    return ok(some(list(names(facts.stack))))


def reviewers(facts: Facts) -> Finding:
    github = known(facts.github)
    found = known(github.environments).get(facts.stack)
    page = f"https://github.com/{github.repository}/settings/environments"
    if found is None:
        return failed(f"there is no environment {facts.stack}", f"gh api {_environment(facts)} --method PUT")
    if found.branches is None or [*found.branches] != [MAIN]:
        allowed = "every branch" if found.branches is None else some(list(found.branches)) or "no branch"
        return failed(f"{allowed} may deploy; expected {MAIN} alone. Set it on {page}", f"gh api {_environment(facts)}")
    if not found.reviewers:
        return warning(f"nobody has to approve a plan. Name reviewers on {page}", f"gh api {_environment(facts)}")
    return ok(f"{found.reviewers} to approve, {MAIN} alone deploys")


def variables(facts: Facts) -> Finding:
    github = known(facts.github)
    common, there = known(github.variables), known(github.environments)
    missing = {
        name: [one for one in wanted(name) if one not in (*there[name].variables, *common)]
        for name in names(facts.stack)
        if name in there
    }
    lacking = {name: absent for name, absent in missing.items() if absent}
    if lacking:
        what = "; ".join(f"{name} lacks {', '.join(absent)}" for name, absent in lacking.items())
        remedies = [
            f"gh variable set {one} --env {name} --repo {github.repository}"
            for name, absent in lacking.items()
            for one in absent
        ]
        return failed(what, *remedies)
    return ok("as the workflows read them")


def branch(facts: Facts) -> Finding:
    github = known(facts.github)
    if not known(github.reviewed):
        return failed(
            f"{MAIN} takes changes without a pull request. Add a rule on {_rules(facts)}",
            f"gh api repos/{github.repository}/rules/branches/{MAIN}",
        )
    return ok(f"{MAIN} takes changes by pull requests alone")


def token(facts: Facts) -> Finding:
    github = known(facts.github)
    if known(github.token_writes):
        place = f"repos/{github.repository}/actions/permissions/workflow"
        return warning(
            "a workflow that names no rights may write",
            f"gh api --method PUT {place} -f default_workflow_permissions=read",
        )
    return ok("reads, unless a workflow names more")


def proposals(facts: Facts) -> Finding:
    """One switch of GitHub lets workflows open pull requests and approve them."""
    github = known(facts.github)
    guard = f"Have {MAIN} ask for a review of code owners: {_rules(facts)}, and a file .github/CODEOWNERS"
    if not known(github.token_proposes):
        return warning(
            "no workflow may open a pull request: `promote` on its schedule pushes branches alone. What allows it also "
            f"lets workflows approve. {guard}",
            allow_pull_requests(github.repository),
        )
    if not known(github.owned):
        return warning(
            f"a workflow may open pull requests, and approve them too, which counts as the review of a person. {guard}",
            f"gh api repos/{github.repository}/rules/branches/{MAIN}",
            f"gh api repos/{github.repository}/codeowners/errors",
        )
    return ok(f"a workflow may open them; {MAIN} asks for a review of code owners, which no workflow is")


def _rules(facts: Facts) -> str:
    """The page of the rules of branches."""
    return f"https://github.com/{known(facts.github).repository}/settings/rules"


def _environment(facts: Facts) -> str:
    return f"repos/{known(facts.github).repository}/environments/{facts.stack}"
