"""What is installed and set here: the engine, its packages, the checkout, and the environment."""

from __future__ import annotations

from typing import Final

from delivery.doctor.checks.check import Finding, Result, failed, ok, some, warning
from delivery.doctor.facts import Facts, newer
from delivery.doctor.missing import known
from tools.pulumi.kinds import FILES, OLDEST

SECRETS: Final = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET")
_OIDC: Final = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
_FEDERATED: Final = ("ARM_USE_OIDC", "ARM_CLIENT_ID", "ARM_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")


def engine(facts: Facts) -> Finding:
    found = known(facts.engine)
    oldest = ".".join(map(str, OLDEST))
    if newer(oldest, found):
        return failed(f"version {found}; {oldest} or a later one is needed", "make engine")
    if found != facts.pinned:
        return warning(
            f"version {found}; an approved plan is applied by {facts.pinned} alone", "export PULUMI_ENGINE=official"
        )
    return ok(f"version {found}, the pinned one")


def language_host(facts: Facts) -> Finding:
    missing = [name for name in FILES if name not in facts.companions]
    return failed(f"{some(missing)} not on PATH", "make engine") if missing else ok("found beside the engine")


def packages(facts: Facts) -> Finding:
    found = [
        f"{name} {facts.packages.get(name, 'is missing')} ({version} locked)"
        for name, version in facts.locked.items()
        if facts.packages.get(name) != version
    ]
    return failed(some(found), "make venv") if found else ok(f"{len(facts.locked)} packages as the lock file has them")


def checkout(facts: Facts) -> Finding:
    changed = known(facts.changed)
    if changed:
        return failed(f"{some(changed)} not committed; what is approved is a commit", "git status")
    return ok("as its commit")


def no_secrets(facts: Facts) -> Finding:
    found = [name for name in SECRETS if facts.environ.get(name)]
    return failed(f"{some(found)} set", f"unset {' '.join(found)}") if found else ok("none is set")


def workflow(facts: Facts) -> Finding:
    if not facts.environ.get("GITHUB_ACTIONS"):
        return Finding(result=Result.NOT_CHECKED, what="not in a workflow of GitHub")
    missing = [name for name in _OIDC if not facts.environ.get(name)]
    if missing:
        return failed(
            f"{some(missing)} not set: the job lacks the permission `id-token: write`",
            "git grep --line-number 'id-token' -- .github/workflows",
        )
    missing = [name for name in _FEDERATED if not facts.environ.get(name)]
    if missing:
        return failed(f"{some(missing)} not set", "gh variable list")
    return ok("it can ask for a token")
