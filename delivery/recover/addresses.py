"""The ARM ID that a resource has on Azure, from its Pulumi type and its inputs alone.

A create that was interrupted has left no ID in the state. All that the program makes is named by its inputs, so that
the ID is known without asking. Source of each path: REST reference of Azure, the "Create Or Update" page of its type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

AZURE: Final = "azure-native:"

_GROUP: Final = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_SCOPED: Final = ("{scope}", "{resourceUri}")

# By type; in braces the inputs. What does not begin with a scope of its own is in the resource group.
_PATHS: Final[Mapping[str, str]] = {
    "app:ContainerApp": "Microsoft.App/containerApps/{containerAppName}",
    "app:Job": "Microsoft.App/jobs/{jobName}",
    "app:ManagedEnvironment": "Microsoft.App/managedEnvironments/{environmentName}",
    "applicationinsights:Workbook": "Microsoft.Insights/workbooks/{resourceName}",
    "authorization:ManagementLockByScope": "{scope}/providers/Microsoft.Authorization/locks/{lockName}",
    "authorization:RoleAssignment": "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    "consumption:Budget": "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    "containerregistry:Registry": "Microsoft.ContainerRegistry/registries/{registryName}",
    "dbforpostgresql:AdministratorsMicrosoftEntra": (
        "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}/administrators/{objectId}"
    ),
    "dbforpostgresql:Configuration": (
        "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}/configurations/{configurationName}"
    ),
    "dbforpostgresql:Database": "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}/databases/{databaseName}",
    "dbforpostgresql:Server": "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}",
    "keyvault:Vault": "Microsoft.KeyVault/vaults/{vaultName}",
    "managedidentity:FederatedIdentityCredential": (
        "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"
        "/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}"
    ),
    "managedidentity:UserAssignedIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}",
    "monitor:ActionGroup": "Microsoft.Insights/actionGroups/{actionGroupName}",
    "monitor:DiagnosticSetting": "{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    "monitor:MetricAlert": "Microsoft.Insights/metricAlerts/{ruleName}",
    "monitor:ScheduledQueryRule": "Microsoft.Insights/scheduledQueryRules/{ruleName}",
    "network:NatGateway": "Microsoft.Network/natGateways/{natGatewayName}",
    "network:NetworkSecurityGroup": "Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}",
    "network:PrivateDnsZoneGroup": (
        "Microsoft.Network/privateEndpoints/{privateEndpointName}/privateDnsZoneGroups/{privateDnsZoneGroupName}"
    ),
    "network:PrivateEndpoint": "Microsoft.Network/privateEndpoints/{privateEndpointName}",
    "network:PublicIPAddress": "Microsoft.Network/publicIPAddresses/{publicIpAddressName}",
    "network:Subnet": "Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}",
    "network:VirtualNetwork": "Microsoft.Network/virtualNetworks/{virtualNetworkName}",
    "operationalinsights:Workspace": "Microsoft.OperationalInsights/workspaces/{workspaceName}",
    "privatedns:PrivateRecordSet": (
        "Microsoft.Network/privateDnsZones/{privateZoneName}/{recordType}/{relativeRecordSetName}"
    ),
    "privatedns:PrivateZone": "Microsoft.Network/privateDnsZones/{privateZoneName}",
    "privatedns:VirtualNetworkLink": (
        "Microsoft.Network/privateDnsZones/{privateZoneName}/virtualNetworkLinks/{virtualNetworkLinkName}"
    ),
    "resources:ResourceGroup": "",
    "storage:BlobContainer": (
        "Microsoft.Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}"
    ),
    "storage:BlobServiceProperties": "Microsoft.Storage/storageAccounts/{accountName}/blobServices/{blobServicesName}",
    "storage:ManagementPolicy": (
        "Microsoft.Storage/storageAccounts/{accountName}/managementPolicies/{managementPolicyName}"
    ),
    "storage:StorageAccount": "Microsoft.Storage/storageAccounts/{accountName}",
}


_BY_HAND: Final = (
    "if it was made, bring it in with `pulumi import` under its URN; once nothing else is left over, "
    "`pulumi refresh --clear-pending-creates` takes the note of it out of the state"
)


class AddressError(ValueError):
    """The ID of a resource cannot be told; the message says what is missing and what to do."""


def address(token: str, inputs: Mapping[str, Any], subscription: str | None) -> str:
    """The ID on Azure of a resource of this type token, with or without an API version in it.

    `subscription` is the one of the stack, None where nobody knows it. Raises AddressError for a type without a row, an
    input that is missing, or an ID that needs the subscription.
    """
    path = _PATHS.get(_short(token))
    if path is None:
        raise AddressError(f"no rule tells the ID of type {token}; {_BY_HAND}")
    template = path if path.startswith(_SCOPED) else f"{_GROUP}/providers/{path}" if path else _GROUP
    known = {key: value.strip("/") for key, value in inputs.items() if isinstance(value, str)}
    known |= {"subscriptionId": subscription} if subscription else {}
    missing = [name for name in re.findall(r"{(\w+)}", template) if name not in known]
    if "subscriptionId" in missing:
        raise AddressError(
            "nothing in the state tells the subscription; run the recovery again after "
            "`export ARM_SUBSCRIPTION_ID=$(az account show --query id --output tsv)`"
        )
    if missing:
        raise AddressError(f"the interrupted create names no {', '.join(missing)}; {_BY_HAND}")
    return f"/{template.format_map(known).strip('/')}"


def _short(token: str) -> str:
    """The token without its package, and without the version in its module."""
    module, _, name = token.removeprefix(AZURE).partition(":")
    return f"{module.split('/')[0]}:{name}"
