"""What Azure fills in where a request says nothing, of the properties that a request may name: one function per type.

A refresh compares the whole answer, so what is filled in later, because of another resource, shows as a difference.

Sources: the answers in the examples of the API specifications (repository Azure/azure-rest-api-specs, "CreateOrUpdate"
of each type at the API version of the installed SDK), and REST reference, the default that a property names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import PACKAGE, short
from delivery.offline_azure.addresses import own_name
from delivery.offline_azure.values import Json, merged

Resources = Mapping[str, Mapping[str, Any]]
Defaults = Callable[[str, Mapping[str, Any], Resources], dict[str, Json]]

_PERFORMANCE: Final[Mapping[int, tuple[str, int]]] = {
    32: ("P4", 120),
    64: ("P6", 240),
    128: ("P10", 500),
    256: ("P15", 1100),
    512: ("P20", 2300),
    1024: ("P30", 5000),
    2048: ("P40", 7500),
    4095: ("P50", 7500),
    4096: ("P50", 7500),
    8192: ("P60", 16000),
    16384: ("P70", 18000),
    32767: ("P80", 20000),
}
"""Tier and operations a second by size in GiB (Microsoft Learn, "Premium SSD", of Azure Database for PostgreSQL)."""

_ACTION_GROUP: Final = (
    *("armRoleReceivers", "automationRunbookReceivers", "azureAppPushReceivers", "azureFunctionReceivers"),
    *("emailReceivers", "eventHubReceivers", "itsmReceivers", "logicAppReceivers", "smsReceivers", "voiceReceivers"),
    "webhookReceivers",
)


def filled_in(type_token: str, identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    """Return what Azure fills in for a resource beside these others (by ID in lower case); given values go before it.

    They are a function of what there is now: a server that has grown has another tier.
    """
    rule = _DEFAULTS.get(short(type_token))
    return rule(identifier, inputs, resources) if rule else {}


def _server(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    storage = inputs.get("storage") or {}
    size = int(storage.get("storageSizeGB", 32))
    tier, iops = _PERFORMANCE.get(size, ("P10", 500))
    inside = (inputs.get("network") or {}).get("delegatedSubnetResourceId")
    return {
        "authConfig": {"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled"},
        "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
        "dataEncryption": {"type": "SystemManaged"},
        "highAvailability": {"mode": "Disabled"},
        "maintenanceWindow": {"customWindow": "Disabled", "dayOfWeek": 0, "startHour": 0, "startMinute": 0},
        "network": {"publicNetworkAccess": "Disabled" if inside else "Enabled"},
        "replica": {"role": "Primary", "capacity": 5},
        "replicationRole": "Primary",
        "storage": {"type": "", "tier": tier, "iops": iops, "storageSizeGB": size, "autoGrow": "Disabled"},
    }


def _parameter(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"source": "user-override"}


def _account(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    encrypted = {"enabled": True, "keyType": "Account"}
    return {
        "accessTier": "Hot",
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "enableHttpsTrafficOnly": True,
        "encryption": {"keySource": "Microsoft.Storage", "services": {"blob": encrypted, "file": encrypted}},
        "minimumTlsVersion": "TLS1_0",
        "networkRuleSet": {
            "bypass": "AzureServices",
            "defaultAction": "Allow",
            "ipRules": [],
            "virtualNetworkRules": [],
        },
    }


def _container(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {
        "defaultEncryptionScope": "$account-encryption-key",
        "denyEncryptionScopeOverride": False,
        "immutableStorageWithVersioning": {"enabled": False},
        "publicAccess": "None",
    }


def _vault(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    properties = {
        "accessPolicies": [],
        "enabledForDeployment": False,
        "enableSoftDelete": True,
        "publicNetworkAccess": "Enabled",
        "softDeleteRetentionInDays": 90,
    }
    return {"properties": properties, "tags": {}}


def _registry(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    policies = {
        "azureADAuthenticationAsArmPolicy": {"status": "enabled"},
        "exportPolicy": {"status": "enabled"},
        "quarantinePolicy": {"status": "disabled"},
        "retentionPolicy": {"days": 7, "status": "disabled"},
        "softDeletePolicy": {"retentionDays": 7, "status": "disabled"},
        "trustPolicy": {"type": "Notary", "status": "disabled"},
    }
    return {
        "adminUserEnabled": False,
        "anonymousPullEnabled": False,
        "dataEndpointEnabled": False,
        "encryption": {"status": "disabled"},
        "networkRuleBypassOptions": "AzureServices",
        "policies": policies,
        "networkRuleSet": {"defaultAction": "Allow", "ipRules": []},
        "publicNetworkAccess": "Enabled",
        "zoneRedundancy": "Disabled",
    }


def _environment(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    group, name = identifier.split("/")[4], own_name(identifier)
    return {
        "infrastructureResourceGroup": f"ME_{name}_{group}_{inputs.get('location', 'westeurope')}",
        "peerAuthentication": {"mtls": {"enabled": False}},
        "peerTrafficConfiguration": {"encryption": {"enabled": False}},
        "publicNetworkAccess": "Enabled",
        "zoneRedundant": False,
    }


def _app(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    environment = inputs.get("environmentId", inputs.get("managedEnvironmentId"))
    ingress = {
        "allowInsecure": False,
        "exposedPort": 0,
        "external": False,
        "targetPortHttpScheme": "http",
        "traffic": [{"latestRevision": True, "weight": 100}],
        "transport": "auto",
    }
    configuration: dict[str, Json] = {"activeRevisionsMode": "Single", "maxInactiveRevisions": 100}
    if (inputs.get("configuration") or {}).get("ingress"):
        configuration["ingress"] = ingress
    return {
        "configuration": configuration,
        **({"environmentId": environment, "managedEnvironmentId": environment} if environment else {}),
        "template": {
            "revisionSuffix": "",
            "scale": {"cooldownPeriod": 300, "maxReplicas": 10, "minReplicas": 0, "pollingInterval": 30},
        },
        "workloadProfileName": "Consumption",
    }


def _job(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"configuration": {"replicaRetryLimit": 0}, "workloadProfileName": "Consumption"}


def _endpoint(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    """An endpoint shows the names that it answers to, until a zone group takes care of them."""
    grouped = any(
        key.startswith(f"{identifier.lower()}/privatednszonegroups/") and one["type"] == f"{PACKAGE}{_ZONE_GROUP}"
        for key, one in resources.items()
    )
    targets = [str(one.get("privateLinkServiceId", "")) for one in inputs.get("privateLinkServiceConnections") or []]
    names = [{"fqdn": f"{own_name(target)}.example.net", "ipAddresses": ["10.0.0.4"]} for target in targets]
    return {
        "applicationSecurityGroups": [],
        "customDnsConfigs": [] if grouped else names,
        "customNetworkInterfaceName": "",
        "ipConfigurations": [],
        "manualPrivateLinkServiceConnections": [],
        "privateLinkServiceConnections": [],
    }


def _network(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    below = f"{identifier.lower()}/subnets/"
    return {
        "enableDdosProtection": False,
        "privateEndpointVNetPolicies": "Disabled",
        "subnets": [
            {"id": one["id"], "name": own_name(one["id"]), "addressPrefix": one["inputs"].get("addressPrefix")}
            for key, one in sorted(resources.items())
            if key.startswith(below)
        ],
        "virtualNetworkPeerings": [],
    }


def _subnet(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    """A flexible server archives its log to Storage, so Azure adds that service endpoint to its subnet.

    Source: documentation of Terraform's azurerm_postgresql_flexible_server, whose example names the endpoint for this.
    """
    servers = [one for one in resources.values() if one["type"] == f"{PACKAGE}dbforpostgresql:Server"]
    used = any(
        str((one["inputs"].get("network") or {}).get("delegatedSubnetResourceId", "")).lower() == identifier.lower()
        for one in servers
    )
    return {
        "delegations": [],
        "privateEndpointNetworkPolicies": "Disabled",
        "privateLinkServiceNetworkPolicies": "Enabled",
        "serviceEndpoints": [{"service": "Microsoft.Storage"}] if used else [],
    }


def _address(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    """An address names the NAT gateway that uses it.

    Source: azurerm's data source `azurerm_public_ips`, which tells by that property whether an address is attached.
    """
    gateways = [one for one in resources.values() if one["type"] == f"{PACKAGE}network:NatGateway"]
    users = [
        one["id"]
        for one in gateways
        for address in one["inputs"].get("publicIpAddresses") or []
        if str(address.get("id")).lower() == identifier.lower()
    ]
    return {
        "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
        "idleTimeoutInMinutes": 4,
        "ipTags": [],
        "publicIPAddressVersion": "IPv4",
        "publicIPAllocationMethod": "Dynamic",
        **({"natGateway": {"id": users[0]}} if users else {}),
    }


def _gateway(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"idleTimeoutInMinutes": 4}


def _rules(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"securityRules": []}


def _link(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"registrationEnabled": False, "resolutionPolicy": "Default"}


def _workspace(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {
        "features": {"enableLogAccessUsingOnlyResourcePermissions": True},
        "publicNetworkAccessForIngestion": "Enabled",
        "publicNetworkAccessForQuery": "Enabled",
        "retentionInDays": 30,
        "workspaceCapping": {"dailyQuotaGb": -1},
    }


def _action_group(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"enabled": True, **{receivers: [] for receivers in _ACTION_GROUP}}


def _workbook(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> dict[str, Json]:
    return {"sourceId": "azure monitor"}


_ZONE_GROUP: Final = "network:PrivateDnsZoneGroup"
_DEFAULTS: Final[Mapping[str, Defaults]] = {
    "app:ContainerApp": _app,
    "app:Job": _job,
    "app:ManagedEnvironment": _environment,
    "applicationinsights:Workbook": _workbook,
    "containerregistry:Registry": _registry,
    "dbforpostgresql:Configuration": _parameter,
    "dbforpostgresql:Server": _server,
    "keyvault:Vault": _vault,
    "monitor:ActionGroup": _action_group,
    "network:NatGateway": _gateway,
    "network:NetworkSecurityGroup": _rules,
    "network:PrivateEndpoint": _endpoint,
    "network:PublicIPAddress": _address,
    "network:Subnet": _subnet,
    "network:VirtualNetwork": _network,
    "operationalinsights:Workspace": _workspace,
    "privatedns:VirtualNetworkLink": _link,
    "storage:BlobContainer": _container,
    "storage:StorageAccount": _account,
}


def answered(type_token: str, inputs: Mapping[str, Json]) -> dict[str, Json]:
    """Return the inputs as Azure writes them in its answer.

    - A vault's addresses are ranges (Microsoft.KeyVault, example "Create a vault with network acls").
    - The role of an assignment is in the short form (Microsoft.Authorization, example "Create role assignment").
    - A workbook's content is in no answer that was not asked for it (REST reference, "Workbooks - Get",
      `canFetchContent`), and where the logs of a setting go in none of many types (azure-rest-api-specs issue 22400).
    - The connection of a private endpoint has its state (Microsoft.Network, example "Create private endpoint").
    """
    match short(type_token):
        case "keyvault:Vault":
            acls = (inputs.get("properties") or {}).get("networkAcls") or {}
            rules = [{**rule, "value": _range(rule.get("value"))} for rule in acls.get("ipRules") or []]
            return merged(inputs, {"properties": {"networkAcls": {"ipRules": rules}}}) if rules else dict(inputs)
        case "authorization:RoleAssignment":
            role = str(inputs.get("roleDefinitionId"))
            return (
                {**inputs, "roleDefinitionId": f"{_ROLES}{role.rsplit('/', 1)[-1]}"} if _ROLES in role else {**inputs}
            )
        case "applicationinsights:Workbook":
            return {key: value for key, value in inputs.items() if key != "serializedData"}
        case "monitor:DiagnosticSetting":
            return {key: value for key, value in inputs.items() if key != "logAnalyticsDestinationType"}
        case "network:PrivateEndpoint":
            approved = {"actionsRequired": "None", "description": "Auto-approved", "status": "Approved"}
            connections = inputs.get("privateLinkServiceConnections")
            if not isinstance(connections, list):
                return dict(inputs)
            shown = [{"privateLinkServiceConnectionState": approved, **connection} for connection in connections]
            # None of its own: Azure lists the names of the target all the same.
            given = {key: value for key, value in inputs.items() if (key, value) != ("customDnsConfigs", [])}
            return {**given, "privateLinkServiceConnections": shown}
    return dict(inputs)


_ROLES: Final = "/providers/Microsoft.Authorization/roleDefinitions/"


def _range(address: Json) -> Json:
    return f"{address}/32" if isinstance(address, str) and "/" not in address else address
