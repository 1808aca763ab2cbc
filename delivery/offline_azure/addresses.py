"""ARM IDs of the azure-native types: `/subscriptions/…/resourceGroups/…/providers/TYPE/NAME`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types import paths

SUBSCRIPTION: Final = "00000000-0000-0000-0000-00000000cafe"
TENANT: Final = "00000000-0000-0000-0000-00000000beef"

SCOPES: Final = frozenset({"resourceGroupName", "scope", "resourceUri"})
"""Inputs that say where a resource is. Like its names they are in the address of a request, not in its body."""

_RESOURCE_GROUPS: Final = "Microsoft.Resources/resourceGroups"


class UnknownTypeError(LookupError):
    """The offline Azure has no path for a type."""


def names(type_token: str) -> tuple[str, ...]:
    """Return the inputs that name a resource, its parents' first and its own last. Raises UnknownTypeError."""
    inputs = [name for name in paths.inputs(_path(type_token)) if name != "subscriptionId"]
    return tuple(name for name in inputs if name not in SCOPES) or (inputs[-1],)


def address(type_token: str, inputs: Mapping[str, Any]) -> str:
    """Return a resource's ID. Raises UnknownTypeError for a type without a path, KeyError for a missing name."""
    values = {"subscriptionId": SUBSCRIPTION, **{key: str(value).strip("/") for key, value in inputs.items()}}
    return f"/{_path(type_token).format_map(values).strip('/')}"


def own_name(identifier: str) -> str:
    """Return the last segment of an ID."""
    return identifier.rsplit("/", 1)[-1]


def arm_type(identifier: str) -> str:
    """Return the ARM type of the resource with this ID, such as Microsoft.Storage/storageAccounts/blobServices."""
    _, separator, tail = identifier.rpartition("/providers/")
    if not separator:
        return _RESOURCE_GROUPS
    namespace, *segments = tail.split("/")
    return "/".join([namespace, *segments[::2]])


def existing(identifier: str) -> str:
    """Return the ID of the resource that must exist before this ID is used.

    A storage account has its blob service from the start. A role can be granted on a secret that does not exist yet.
    """
    if "/providers/" not in identifier:
        return identifier
    account = re.sub(r"/blobServices/default\Z", "", identifier, flags=re.IGNORECASE)
    return re.sub(r"(/providers/Microsoft\.KeyVault/vaults/[^/]+)/secrets/[^/]+\Z", r"\1", account, flags=re.IGNORECASE)


def parent(identifier: str) -> str | None:
    """Return the ID that must exist before this one is created; None for a resource of the subscription itself."""
    head, separator, tail = identifier.rpartition("/providers/")
    if not separator:
        return None
    segments = tail.split("/")
    if len(segments) > 3:
        return existing(f"{head}/providers/{'/'.join(segments[:-2])}")
    return existing(head) if head.count("/") > 2 else None


def _path(type_token: str) -> str:
    path = paths.path(type_token)
    if path is None:
        raise UnknownTypeError(f"type: got {type_token}; expected one with a row in delivery/azure_types/paths.py.")
    return path
