"""What Entra's version 2.0 tokens say (Microsoft Learn, "Access token claims reference" and "ID token claims
reference").
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from components.emulators.azure.entra.directory import Application, Directory, Principal


def access_token(
    directory: Directory, issuer: str, principal: Principal, application: str, lifetime: int
) -> dict[str, Any]:
    """Return the claims of a token for the platform that `application`, a client id, got."""
    # How the client proved itself: not at all, as a person's own program, or with a secret.
    proof = "0" if application in directory.platform.preauthorized else "1"
    found = {**_common(directory, issuer, principal, lifetime), "azp": application, "azpacr": proof, "roles": None}
    if isinstance(principal, Application):
        found["idtyp"] = "app"
    else:
        found |= {"scp": "access", **_person(principal)}
    found["roles"] = list(principal.roles) or None
    if directory.platform.groups_claim and principal.groups:
        found["groups"] = list(principal.groups)
    return {name: value for name, value in found.items() if value is not None}


def id_token(
    directory: Directory, issuer: str, principal: Principal, application: str, nonce: str | None, lifetime: int
) -> dict[str, Any]:
    """Return the claims of an ID token, which is for `application`, a client id. It has no `azp`.

    App roles are those on the application itself, which only the platform has.
    """
    roles = {"roles": list(principal.roles)} if application == directory.platform.client_id else {}
    found = {**_common(directory, issuer, principal, lifetime), **_person(principal), **roles, "aud": application}
    return found if nonce is None else {**found, "nonce": nonce}


def _common(directory: Directory, issuer: str, principal: Principal, lifetime: int) -> dict[str, Any]:
    now = int(time.time())
    return {
        "aud": directory.platform.client_id,
        "iss": issuer,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": directory.tenant_id,
        "uti": secrets.token_urlsafe(16),
        "ver": "2.0",
    }


def _person(principal: Principal) -> dict[str, Any]:
    return {"name": principal.name.partition("@")[0], "preferred_username": principal.name}
