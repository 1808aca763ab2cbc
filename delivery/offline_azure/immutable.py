"""Which changed inputs recreate a resource. Which updates Azure itself refuses is in `updates`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

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
    "containerservice:ManagedCluster": frozenset(
        (
            "diskEncryptionSetID",
            "dnsPrefix",
            "fqdnSubdomain",
            "identity.type",
            "linuxProfile",
            "location",
            "networkProfile",
            "nodeResourceGroup",
            "sku.name",
            "windowsProfile",
            *(
                f"agentPoolProfiles[].{key}"
                for key in (
                    *("availabilityZones", "enableEncryptionAtHost", "enableFIPS", "enableNodePublicIP"),
                    *("kubeletConfig", "linuxOSConfig", "maxPods", "name", "nodeLabels", "nodePublicIPPrefixID"),
                    *("nodeTaints", "osDiskSizeGB", "osSKU", "podSubnetID", "proximityPlacementGroupID", "type"),
                    *("vmSize", "vnetSubnetID"),
                )
            ),
        )
    ),
    # Its network mode is chosen at creation (Microsoft Learn, "Networking with private access (VNet integration)").
    "dbforpostgresql:Server": frozenset(
        ("administratorLogin", "availabilityZone", "location", "network", "pointInTimeUTC", "sourceServerResourceId")
    ),
    "managedidentity:UserAssignedIdentity": frozenset({"location"}),
    "monitor:ActionGroup": frozenset({"location"}),
    "monitor:DataCollectionRule": frozenset({"location"}),
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
