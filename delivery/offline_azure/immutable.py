"""Which changed inputs recreate a resource, and which updates Azure itself refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types import type_tokens
from delivery.offline_azure import addresses

# Inputs beside names and scope whose change recreates a resource: what the provider's published schema marks
# `willReplaceOnChanges` (https://www.pulumi.com/registry/packages/azure-native/api-docs/). Other types have none.
_RECREATES: Final[Mapping[str, frozenset[str]]] = {
    "app:ContainerApp": frozenset({"environmentId", "location", "managedEnvironmentId"}),
    "app:Job": frozenset({"environmentId", "location"}),
    "app:ManagedEnvironment": frozenset({"location", "zoneRedundant"}),
    "applicationinsights:Workbook": frozenset({"location"}),
    "authorization:RoleAssignment": frozenset({"principalId"}),
    "containerregistry:Registry": frozenset({"location"}),
    # Its network mode is chosen at creation (Microsoft Learn, "Networking with private access (VNet integration)").
    "dbforpostgresql:Server": frozenset(
        ("administratorLogin", "availabilityZone", "location", "network", "pointInTimeUTC", "sourceServerResourceId")
    ),
    "managedidentity:UserAssignedIdentity": frozenset({"location"}),
    "monitor:ActionGroup": frozenset({"location"}),
    "monitor:MetricAlert": frozenset({"location"}),
    "monitor:ScheduledQueryRule": frozenset({"location"}),
    "network:PublicIPAddress": frozenset({"location", "publicIPAddressVersion", "publicIPPrefix", "sku"}),
    "network:VirtualNetwork": frozenset({"location"}),
    "operationalinsights:Workspace": frozenset({"location"}),
    "privatedns:PrivateZone": frozenset({"location"}),
    # REST reference, "Virtual Network Links - Update": only registration and tags change.
    "privatedns:VirtualNetworkLink": frozenset({"location", "virtualNetwork"}),
    "resources:ResourceGroup": frozenset({"location"}),
    # Microsoft Learn, "Azure Data Lake Storage hierarchical namespace": it cannot be switched on or off here.
    "storage:StorageAccount": frozenset({"isHnsEnabled", "location"}),
}


def replacing(type_token: str) -> frozenset[str]:
    """Return the input paths whose change recreates a resource of this type; `[]` stands for a list's items."""
    address = {*addresses.names(type_token), *addresses.SCOPES}
    return _RECREATES.get(type_tokens.short(type_token), frozenset()) | address


def replaces(path: str, immutable: frozenset[str]) -> bool:
    """Return whether a path (`network.x`, `list[0].y`) is one of the immutable ones, or inside of one."""
    general = re.sub(r"\[\d+\]", "[]", path)
    return any(general == one or general.startswith((f"{one}.", f"{one}[")) for one in immutable)


def refusal(type_token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Return why Azure refuses an update that the provider tries; None if it accepts it."""

    def moved(*path: str) -> tuple[Any, Any]:
        before: Any = old
        after: Any = new
        for key in path:
            before, after = (before or {}).get(key), (after or {}).get(key)
        return before, after

    match type_tokens.short(type_token):
        case "keyvault:Vault":
            # Microsoft Learn, "Azure Key Vault soft-delete overview": purge protection cannot be disabled.
            if moved("properties", "enablePurgeProtection") in [(True, False), (True, None)]:
                return "The property 'enablePurgeProtection' cannot be set to false. It is irreversible."
            if moved("location")[0] != moved("location")[1]:
                return "The vault cannot be moved to another location."
        case "dbforpostgresql:Server":
            # Microsoft Learn, "Storage options in Azure Database for PostgreSQL": storage only grows.
            before, after = moved("storage", "storageSizeGB")
            if before and after and after < before:
                return f"Storage cannot be reduced from {before:g} to {after:g} GiB."
        case "authorization:RoleAssignment":
            # REST error RoleAssignmentUpdateNotPermitted.
            if moved("roleDefinitionId")[0] != moved("roleDefinitionId")[1]:
                return "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
    return None
