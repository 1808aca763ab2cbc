"""What sign-in needs of the directory."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, ROLES
from delivery.doctor.checks.check import Finding, azure_settings, failed, ok, some, warning
from delivery.doctor.facts import Facts
from delivery.doctor.missing import MissingError, known
from delivery.recover import state as states
from infra.settings.access import AccessMode

_GUIDE: Final = "docs/access.md#the-registration"
_VERSION: Final = 2


def registration(facts: Facts) -> Finding:
    """Tokens of version 2, the way back to the stack, an app role for each role, and a federation."""
    azure_settings(facts)
    settings = known(facts.settings)
    if settings.access.mode is AccessMode.NONE:
        return ok("not needed with access.mode none")
    found = known(facts.registration)
    app = settings.access.client_id
    if found.version != _VERSION:
        return failed(
            f"{found.name} issues tokens of version {found.version}, which the gateway refuses",
            f"az rest --method PATCH --url \"https://graph.microsoft.com/v1.0/applications(appId='{app}')\" "
            '--headers Content-Type=application/json --body \'{"api": {"requestedAccessTokenVersion": 2}}\'',
        )
    if not found.subjects:
        return failed(f"{found.name} trusts no identity, so no sign-in comes to its end; see {_GUIDE}")
    wanted = {f"{team}.{role}" for team in (DEFAULT_WORKSPACE, *settings.teams) for role in ROLES} | {PLATFORM_ADMIN}
    lacking = sorted(wanted - found.roles)
    if lacking and not settings.access.groups:
        return warning(f"{found.name} has no app role {some(lacking)}, so nobody can have it; see {_GUIDE}")
    back = _callback(facts)
    if back is not None and back not in found.redirects:
        addresses = " ".join(sorted({*found.redirects, back}))
        return failed(
            f"{found.name} does not send browsers back to {back}",
            f"az ad app update --id {app} --web-redirect-uris {addresses}",
        )
    return ok(f"{found.name}: version 2, {len(found.roles)} app roles, {len(found.subjects)} federation")


def _callback(facts: Facts) -> str | None:
    """Return where the stack's sign-in ends, None before its first up."""
    try:
        url = states.output(known(facts.state), "url")
    except MissingError:
        return None
    if not isinstance(url, str) or not url:
        return None
    return f"https://{urlsplit(url).netloc}/access/callback"
