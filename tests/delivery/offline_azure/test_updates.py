"""What Azure refuses to change in a living resource, though the engine passes it."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.offline_azure import computed_outputs
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
IN_GROUP = {"resourceGroupName": "rg"}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
GUID = "11111111-1111-1111-1111-111111111111"
APPS, SERVERS = "Microsoft.App/environments", "Microsoft.DBforPostgreSQL/flexibleServers"

SERVER: dict[str, Any] = {
    **PLACED,
    "serverName": "psql-one",
    "storage": {"storageSizeGB": 128},
    "highAvailability": {"mode": "ZoneRedundant"},
    "version": "17",
}
SIZE = {"vmSize": "Standard_D2ads_v5", "osDiskSizeGB": 64}
POOL = {**IN_GROUP, "resourceName": "aks-one", "agentPoolName": "work", **SIZE}
ACCOUNT = {**PLACED, "accountName": "stone7f3a", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
REGISTRY = {**PLACED, "registryName": "acrone7f3a", "sku": {"name": "Premium"}, "zoneRedundancy": "Enabled"}
ADDRESS = {**PLACED, "publicIpAddressName": "out", "sku": {"name": "Standard"}, "zones": ["1", "2", "3"]}
VAULT = {
    **PLACED,
    "vaultName": "kv-one",
    "properties": {"tenantId": GUID, "sku": {"family": "A", "name": "standard"}, "enablePurgeProtection": True},
}
ENVIRONMENT: dict[str, Any] = {**PLACED, "environmentName": "cae"}
NETWORK = {**PLACED, "virtualNetworkName": "v", "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}


def make(azure: Azure, short: str, **inputs: Any) -> str:
    return str(azure.create(f"azure-native:{short}", inputs)["id"])


def change(azure: Azure, short: str, identifier: str, **inputs: Any) -> None:
    azure.update(f"azure-native:{short}", identifier, inputs)


def refused(code: str) -> Any:
    return pytest.raises(RefusedError, match=f'Code="{code}"')


def subnet(name: str, cidr: str, service: str | None = None) -> dict[str, Any]:
    delegations = [{"name": "service", "serviceName": service}] if service else []
    named = {**IN_GROUP, "virtualNetworkName": "v", "subnetName": name}
    return {**named, "addressPrefix": cidr, "delegations": delegations}


def properties(**change: Any) -> dict[str, Any]:
    return {"properties": {**VAULT["properties"], **change}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "change_to", [{"vmSize": "Standard_D4ads_v5"}, {"osDiskSizeGB": 128}, {"availabilityZones": ["1"]}]
)
def test_what_of_a_pool_is_fixed_at_creation(azure: Azure, change_to: dict[str, Any]) -> None:
    make(azure, "containerservice:ManagedCluster", **PLACED, resourceName="aks-one")
    made = make(azure, "containerservice:AgentPool", **POOL)
    change(azure, "containerservice:AgentPool", made, **POOL, count=5)
    with refused("PropertyChangeNotAllowed"):
        change(azure, "containerservice:AgentPool", made, **{**POOL, **change_to})


@pytest.mark.parametrize(
    ("short", "inputs", "change_to", "code"),
    [
        ("dbforpostgresql:Server", SERVER, {"storage": {"storageSizeGB": 64}}, "PropertyChangeNotAllowed"),
        ("dbforpostgresql:Server", SERVER, {"backup": {"geoRedundantBackup": "Enabled"}}, "PropertyChangeNotAllowed"),
        (
            "dbforpostgresql:Server",
            SERVER,
            {"highAvailability": {"mode": "SameZone"}},
            "HighAvailabilityModeChangeNotAllowed",
        ),
        (
            "dbforpostgresql:Server",
            SERVER,
            {"highAvailability": {"mode": "ZoneRedundant", "standbyAvailabilityZone": "3"}},
            "HighAvailabilityZoneChangeNotAllowed",
        ),
        ("dbforpostgresql:Server", SERVER, {"version": "16"}, "MajorVersionDowngradeNotAllowed"),
        ("storage:StorageAccount", ACCOUNT, {"sku": {"name": "Standard_ZRS"}}, "AccountPropertyCannotBeUpdated"),
        ("storage:StorageAccount", ACCOUNT, {"sku": {"name": "Standard_GZRS"}}, "AccountPropertyCannotBeUpdated"),
        (
            "storage:StorageAccount",
            ACCOUNT,
            {"encryption": {"requireInfrastructureEncryption": True}},
            "AccountPropertyCannotBeUpdated",
        ),
        ("storage:StorageAccount", ACCOUNT, {"kind": "BlobStorage"}, "AccountPropertyCannotBeUpdated"),
        (
            "containerregistry:Registry",
            REGISTRY,
            {"zoneRedundancy": "Disabled"},
            "ZoneRedundancyCannotBeUpdated",
        ),
        ("network:PublicIPAddress", ADDRESS, {"zones": None}, "ResourceAvailabilityZonesCannotBeModified"),
        ("network:PublicIPAddress", ADDRESS, {"zones": ["1"]}, "ResourceAvailabilityZonesCannotBeModified"),
        ("keyvault:Vault", VAULT, properties(softDeleteRetentionInDays=30), "BadRequest"),
        ("keyvault:Vault", VAULT, properties(enablePurgeProtection=None), "PropertyChangeNotAllowed"),
        (
            "app:ManagedEnvironment",
            ENVIRONMENT,
            {"infrastructureResourceGroup": "other"},
            "PropertyChangeNotAllowed",
        ),
    ],
)
def test_what_is_fixed_at_creation(
    azure: Azure, short: str, inputs: dict[str, Any], change_to: dict[str, Any], code: str
) -> None:
    made = make(azure, short, **inputs)
    with refused(code):
        wanted = {key: value for key, value in {**inputs, **change_to}.items() if value is not None}
        change(azure, short, made, **wanted)
    change(azure, short, made, **inputs, tags={"owner": "team"})


@pytest.mark.parametrize(
    ("short", "inputs", "change_to"),
    [
        ("dbforpostgresql:Server", SERVER, {"storage": {"storageSizeGB": 256}}),
        ("dbforpostgresql:Server", SERVER, {"highAvailability": {"mode": "Disabled"}}),
        ("dbforpostgresql:Server", SERVER, {"version": "18"}),
        ("storage:StorageAccount", ACCOUNT, {"sku": {"name": "Standard_GRS"}}),
        ("keyvault:Vault", VAULT, properties(enabledForDeployment=True)),
    ],
)
def test_what_can_be_changed(azure: Azure, short: str, inputs: dict[str, Any], change_to: dict[str, Any]) -> None:
    change(azure, short, make(azure, short, **inputs), **{**inputs, **change_to})


def test_a_subnet_in_use_keeps_its_range_and_its_delegation(azure: Azure) -> None:
    network = make(azure, "network:VirtualNetwork", **NETWORK)
    free = make(azure, "network:Subnet", **subnet("free", "10.0.9.0/24"))
    change(azure, "network:Subnet", free, **subnet("free", "10.0.8.0/24"))
    used = make(azure, "network:Subnet", **subnet("apps", "10.0.2.0/27", APPS))
    where = {"vnetConfiguration": {"infrastructureSubnetId": used, "internal": True}}
    made = make(azure, "app:ManagedEnvironment", **ENVIRONMENT, **where)
    with refused("InUsePrefixCannotBeDeleted"):
        change(azure, "network:Subnet", used, **subnet("apps", "10.0.3.0/27", APPS))
    with refused("SubnetDelegationsCannotChangeWhenSubnetUsedByResource"):
        change(azure, "network:Subnet", used, **subnet("apps", "10.0.2.0/27"))
    with refused("NetcfgSubnetRangeOutsideVnet"):
        elsewhere = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}}
        change(azure, "network:VirtualNetwork", network, **{**NETWORK, **elsewhere})
    with refused("ManagedEnvironmentInvalidNetworkConfiguration"):
        opened = {"infrastructureSubnetId": used, "internal": False}
        change(azure, "app:ManagedEnvironment", made, **ENVIRONMENT, vnetConfiguration=opened)
    change(azure, "app:ManagedEnvironment", made, **ENVIRONMENT, **where, tags={"owner": "team"})


def test_subnets_are_inside_of_their_network_and_apart(azure: Azure) -> None:
    make(azure, "network:VirtualNetwork", **NETWORK)
    make(azure, "network:Subnet", **subnet("first", "10.0.0.0/24"))
    for cidr, code in (
        ("10.1.0.0/24", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.0.128/25", "NetcfgSubnetRangesOverlap"),
        ("10.0.1.0/30", "NetcfgInvalidSubnet"),
        ("10.0.1.1/24", "InvalidCIDRNotation"),
    ):
        with refused(code):
            make(azure, "network:Subnet", **subnet("second", cidr))
    make(azure, "network:Subnet", **subnet("second", "10.0.1.0/24"))


def test_a_private_endpoint_fits_its_target_and_stays_with_it(azure: Azure) -> None:
    account = make(azure, "storage:StorageAccount", **ACCOUNT)
    basic = make(azure, "containerregistry:Registry", **PLACED, registryName="acrbasic", sku={"name": "Basic"})
    premium = make(azure, "containerregistry:Registry", **REGISTRY)

    def endpoint(target: str, group: str) -> dict[str, Any]:
        connection = {"name": "one", "privateLinkServiceId": target, "groupIds": [group]}
        return {**PLACED, "privateEndpointName": "pe", "privateLinkServiceConnections": [connection]}

    with refused("PrivateLinkServiceGroupIdNotFound"):
        make(azure, "network:PrivateEndpoint", **endpoint(account, "vault"))
    with refused("PrivateEndpointNotSupportedForSku"):
        make(azure, "network:PrivateEndpoint", **endpoint(basic, "registry"))
    made = make(azure, "network:PrivateEndpoint", **endpoint(premium, "registry"))
    with refused("PropertyChangeNotAllowed"):
        change(azure, "network:PrivateEndpoint", made, **endpoint(account, "blob"))
    with refused("FeatureNotSupportedForSku"):
        cheaper = {"sku": {"name": "Standard"}, "zoneRedundancy": "Enabled"}
        change(azure, "containerregistry:Registry", premium, **{**REGISTRY, **cheaper})


def test_a_gateway_has_a_standard_address_of_its_own(azure: Azure) -> None:
    basic = make(azure, "network:PublicIPAddress", **PLACED, publicIpAddressName="basic")
    standard = make(azure, "network:PublicIPAddress", **ADDRESS)

    def gateway(name: str, address: str) -> dict[str, Any]:
        return {**PLACED, "natGatewayName": name, "publicIpAddresses": [{"id": address}]}

    with refused("NatGatewayCannotUseBasicPublicIPAddress"):
        make(azure, "network:NatGateway", **gateway("first", basic))
    make(azure, "network:NatGateway", **gateway("first", standard))
    with refused("PublicIPAddressInUse"):
        make(azure, "network:NatGateway", **gateway("second", standard))


def test_a_role_is_not_changed_and_not_taken_away_under_a_lock(azure: Azure) -> None:
    identity = make(azure, "managedidentity:UserAssignedIdentity", **PLACED, resourceName="id-one")
    account = make(azure, "storage:StorageAccount", **ACCOUNT)
    role = "/providers/Microsoft.Authorization/roleDefinitions"
    given = {
        "scope": account,
        "roleAssignmentName": GUID,
        "principalId": computed_outputs.guid(identity, "principal"),
        "principalType": "ServicePrincipal",
        "roleDefinitionId": f"{role}/acdd72a7",
    }
    made = make(azure, "authorization:RoleAssignment", **given)
    make(azure, "authorization:ManagementLockByScope", scope=account, lockName="keep", level="CanNotDelete")
    with refused("RoleAssignmentUpdateNotPermitted"):
        change(azure, "authorization:RoleAssignment", made, **{**given, "roleDefinitionId": f"{role}/b24988ac"})
    with refused("ScopeLocked"):
        azure.delete("azure-native:authorization:RoleAssignment", made)


def test_a_person_or_a_group_of_the_tenant_gets_a_role(azure: Azure) -> None:
    identity = make(azure, "managedidentity:UserAssignedIdentity", **PLACED, resourceName="id-one")

    def assigned(kind: str, principal: str, name: str) -> str:
        return make(
            azure,
            "authorization:RoleAssignment",
            scope=GROUP_ID,
            roleAssignmentName=name,
            principalId=principal,
            principalType=kind,
            roleDefinitionId="/providers/Microsoft.Authorization/roleDefinitions/acdd72a7",
        )

    assigned("Group", "22222222-2222-2222-2222-222222222222", GUID)
    assigned("User", "33333333-3333-3333-3333-333333333333", GUID.replace("1", "2"))
    with refused("PrincipalNotFound"):
        assigned("ServicePrincipal", "44444444-4444-4444-4444-444444444444", GUID.replace("1", "3"))
    with refused("UnmatchedPrincipalType"):
        assigned("User", computed_outputs.guid(identity, "principal"), GUID.replace("1", "4"))


@pytest.mark.parametrize("kind", ["app:ManagedEnvironment", "dbforpostgresql:Server"])
def test_a_link_outlives_what_made_it(azure: Azure, kind: str) -> None:
    of_kind: dict[str, tuple[str, dict[str, Any], str, str]] = {
        "app:ManagedEnvironment": (APPS, ENVIRONMENT, "vnetConfiguration", "infrastructureSubnetId"),
        "dbforpostgresql:Server": (SERVERS, SERVER, "network", "delegatedSubnetResourceId"),
    }
    service, inputs, block, field = of_kind[kind]
    make(azure, "network:VirtualNetwork", **NETWORK)
    used = make(azure, "network:Subnet", **subnet("one", "10.0.2.0/27", service))
    made = make(azure, kind, **inputs, **{block: {field: used}})
    azure.inject("linger", operation="delete", matching="/(managedEnvironments|flexibleServers)/")
    azure.delete(f"azure-native:{kind}", made)
    for _ in range(2):
        with refused("InUseSubnetCannotBeDeleted"):
            azure.delete("azure-native:network:Subnet", used)
        change(azure, "network:Subnet", used, **subnet("one", "10.0.2.0/27", service))
    with refused("SubnetDelegationsCannotChangeWhenSubnetUsedByResource"):
        change(azure, "network:Subnet", used, **subnet("one", "10.0.2.0/27"))
    if kind == "app:ManagedEnvironment":
        with refused("ManagedEnvironmentSubnetInUse"):
            make(azure, kind, **inputs, **{block: {field: used}})
    azure.clear_faults()
    azure.delete("azure-native:network:Subnet", used)
