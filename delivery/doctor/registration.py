"""The application registration of a stack with access control, as whoever is signed in sees it.

Written from the reference of Microsoft Graph and not run on the real one. All calls only read.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.azure.arm import ArmError, default_token
from delivery.doctor.azure import PATIENCE_SECONDS
from delivery.doctor.missing import Missing

GRAPH: Final = "https://graph.microsoft.com"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What the directory has. `version` is that of its tokens, `subjects` are the identities that sign in as it."""

    name: str
    version: int
    redirects: frozenset[str]
    roles: frozenset[str]
    subjects: frozenset[str]


def signed_in(client_id: str) -> Registration | Missing:
    """Return the registration of a client id."""
    try:
        headers = {"Authorization": f"Bearer {default_token(f'{GRAPH}/.default')}"}
    except ArmError as error:
        return Missing(str(error).splitlines()[0])

    def get(path: str) -> Mapping[str, Any]:
        request = urllib.request.Request(f"{GRAPH}{path}", headers=headers)  # noqa: S310 - https
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            found: Mapping[str, Any] = json.load(answer)
        return found

    return ask(get, client_id)


def ask(get: Callable[[str], Mapping[str, Any]], client_id: str) -> Registration | Missing:
    """Ask Microsoft Graph, by a function from path to answer, or return why it does not say."""
    # https://learn.microsoft.com/graph/api/application-get
    path = f"/v1.0/applications(appId='{client_id}')"
    try:
        found = get(f"{path}?$select=displayName,api,web,appRoles")
        # https://learn.microsoft.com/graph/api/application-list-federatedidentitycredentials
        federated = get(f"{path}/federatedIdentityCredentials")
        return Registration(
            name=str(found["displayName"]),
            version=int(_in(found, "api").get("requestedAccessTokenVersion") or 1),
            redirects=frozenset(map(str, _in(found, "web").get("redirectUris") or ())),
            roles=frozenset(str(role["value"]) for role in found.get("appRoles") or () if role.get("isEnabled")),
            subjects=frozenset(str(each["subject"]) for each in federated.get("value") or ()),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Missing(f"Microsoft Graph does not show the registration {client_id}: {error}".splitlines()[0])


def _in(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part: Mapping[str, Any] = found.get(name) or {}
    return part
