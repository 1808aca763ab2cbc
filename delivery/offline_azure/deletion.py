"""Why Azure refuses to delete a resource: a lock, a resource inside of it, or one that refers to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import ADMINISTRATOR, CONFIGURATION, DATABASE, LOCK
from delivery.offline_azure import links
from delivery.offline_azure.errors import RefusedError

# Azure deletes these with their parent.
GO_WITH_PARENT: Final = {
    ADMINISTRATOR,
    CONFIGURATION,
    DATABASE,
    "azure-native:storage:BlobServiceProperties",
    "azure-native:keyvault:Key",
    "azure-native:keyvault:Secret",
}
# These have no DELETE: the provider only forgets them, and their children stay.
ONLY_FORGOTTEN: Final = {"azure-native:storage:BlobServiceProperties", "azure-native:keyvault:Key"}
# Azure refuses to delete these while another resource refers to them.
KEPT_BY_REFERENCE: Final = {
    "azure-native:network:Subnet",
    "azure-native:network:VirtualNetwork",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:NatGateway",
    "azure-native:network:PublicIPAddress",
    "azure-native:privatedns:PrivateZone",
    "azure-native:app:ManagedEnvironment",
}


def refusal(type_token: str, identifier: str, resources: Mapping[str, Mapping[str, Any]]) -> RefusedError | None:
    """Return why Azure refuses to delete a resource of these (by ID in lower case); None if it deletes it."""
    key = identifier.lower()
    for lock in resources.values():
        scope = lock["id"].lower().rpartition("/providers/")[0]
        # A lock holds what is below its scope, and what is above it from taking the scope along.
        if lock["type"] == LOCK and type_token != LOCK and (_within(key, scope) or _within(scope, key)):
            message = f"The scope '{identifier}' cannot be deleted because following scope(s) are locked: '{scope}'."
            return RefusedError(409, "ScopeLocked", message)
    if refused := links.refusal(identifier, resources):
        return refused
    if users := _users(type_token, key, resources):
        message = f"'{identifier}' cannot be deleted: it is in use by {', '.join(users)}."
        return RefusedError(409, "InUse", message)
    return None


def _users(type_token: str, key: str, resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if type_token in ONLY_FORGOTTEN:
        return []
    others = {other: resource for other, resource in resources.items() if other != key}
    users = {
        str(resource["id"])
        for other, resource in others.items()
        if _child(other, key) and resource["type"] not in GO_WITH_PARENT
    }
    if type_token in KEPT_BY_REFERENCE:
        quoted = re.compile(f'"{re.escape(key)}["/]')
        users |= {
            str(resource["id"]) for resource in others.values() if quoted.search(json.dumps(resource["inputs"]).lower())
        }
    return sorted(users)


def _within(key: str, scope: str) -> bool:
    return key == scope or key.startswith(f"{scope}/")


def _child(key: str, above: str) -> bool:
    """Return whether a resource is part of another. An extension, such as a role assignment, is deleted with it."""
    return _within(key, above) and ("/providers/" not in above or "/providers/" not in key[len(above) :])
