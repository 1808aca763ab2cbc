"""Who may write a stack's state: the roles on its container, on or above it, and whether keys of the account do.

Written from the reference of Azure's REST API and not run on the real Azure. All calls only read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from components.azure.arm import Arm, ArmError
from components.azure.roles import AzureRole
from delivery.doctor.azure import PATIENCE_SECONDS
from delivery.doctor.missing import Missing

API_VERSION: Final = "2022-04-01"
"""Of role assignments; each other call names its own."""

WRITE: Final[Mapping[str, str]] = {
    AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR: "Storage Blob Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
}
MAY_GRANT: Final[Mapping[str, str]] = {
    AzureRole.CONTRIBUTOR: "Contributor",
    AzureRole.RBAC_ADMINISTRATOR: "Role Based Access Control Administrator",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
}
"""Roles that write nothing and can make themselves roles or keys that do. Above the account's group they are not looked
at: whoever owns the subscription owns the state."""

_CONTAINER: Final = re.compile(r"azblob://(?P<container>[a-z0-9-]+)")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A role that somebody has: `id` is the assignment's, `principal` the object id, `kind` such as User or Group."""

    id: str
    role: str
    principal: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class StateAccount:
    """The account of a state. `identities` has the principals of the identities beside it, by their names."""

    id: str
    container: str
    shared_keys: bool
    assignments: Sequence[Assignment]
    identities: Mapping[str, str]


def ask(arm: Arm, subscription: str, account: str, container: str) -> StateAccount | Missing:
    """Ask Azure, or return why it does not say."""
    root = f"/subscriptions/{subscription}"
    try:
        # https://learn.microsoft.com/rest/api/storagerp/storage-accounts/list
        accounts = _listed(arm, f"{root}/providers/Microsoft.Storage/storageAccounts?api-version=2023-05-01")
        found = next((one for one in accounts if one.get("name") == account), None)
        if found is None:
            return Missing(f"subscription {subscription} shows no storage account {account} to who is signed in")
        identifier = str(found["id"])
        group = identifier.partition("/providers/")[0]
        # https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities/list-by-resource-group
        identities = _listed(
            arm, f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities?api-version=2023-01-31"
        )
        # https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope
        scope = f"{identifier}/blobServices/default/containers/{container}"
        roles = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
        assigned = _listed(arm, f"{roles}?api-version={API_VERSION}&$filter=atScope()")
        return StateAccount(
            id=identifier,
            container=container,
            # Without the property keys are allowed.
            shared_keys=found["properties"].get("allowSharedKeyAccess") is not False,
            assignments=[one for one in (_assignment(role, group) for role in assigned) if one is not None],
            identities={str(one["name"]): str(one["properties"]["principalId"]) for one in identities},
        )
    except (ArmError, KeyError, TypeError, AttributeError) as error:
        return Missing(str(error).splitlines()[0])


def signed_in(arm_endpoint: str, subscription: str, backend: str, environ: Mapping[str, str]) -> StateAccount | Missing:
    """Return the account that a backend names, as whoever is signed in sees it."""
    found = _CONTAINER.match(backend)
    account = parse_qs(urlsplit(backend).query).get("storage_account", [environ.get("AZURE_STORAGE_ACCOUNT", "")])[0]
    if found is None or not account:
        return Missing("the state is in no storage account that the backend or AZURE_STORAGE_ACCOUNT names")
    arm = Arm(api_version=API_VERSION, endpoint=arm_endpoint, patience=PATIENCE_SECONDS)
    return ask(arm, subscription, account, found["container"])


def _assignment(role: Mapping[str, Any], group: str) -> Assignment | None:
    """A role that can write the state, or make itself one; None for any other, and for one that owns much more."""
    values = role["properties"]
    definition = str(values["roleDefinitionId"]).rpartition("/")[2].lower()
    near = str(values["scope"]).lower().startswith(group.lower())
    name = WRITE.get(definition) or (MAY_GRANT.get(definition) if near else None)
    if name is None:
        return None
    return Assignment(
        id=str(role["id"]), role=name, principal=str(values["principalId"]), kind=str(values.get("principalType", ""))
    )


def _listed(arm: Arm, path: str) -> list[Mapping[str, Any]]:
    return [one for page in arm.pages(path) for one in page.get("value") or ()]
