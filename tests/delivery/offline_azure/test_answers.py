"""What the offline Azure answers, property by property, as the engine sees it."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from delivery.offline_azure import computed_outputs, sdk_types
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.provider import Provider, outputs_of, plain, preview_outputs, wire
from delivery.offline_azure.values import UNKNOWN

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
IN_GROUP = {"resourceGroupName": "rg"}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
READER = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
GUID = "11111111-1111-1111-1111-111111111111"


def answer(azure: Azure, short: str, **inputs: Any) -> dict[str, Any]:
    """The outputs of a new resource, with its ID."""
    made = azure.create(f"azure-native:{short}", inputs)
    return {"id": made["id"], **outputs_of(made)}


def refreshed(azure: Azure, short: str, given: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The inputs after a refresh, of a resource that had these inputs and this answer."""
    urn = f"urn:pulumi:s::p::azure-native:{short}::x"
    request = provider_pb2.ReadRequest(id=before["id"], urn=urn, properties=wire(before), inputs=wire(given))
    return plain(Provider(azure).Read(request, None).inputs)


def checked(short: str, given: dict[str, Any], name: str = "logical") -> dict[str, Any]:
    urn = f"urn:pulumi:s::p::azure-native:{short}::{name}"
    request = provider_pb2.CheckRequest(urn=urn, news=wire(given), randomSeed=b"seed")
    return dict(Provider.Check(None, request, None).inputs)  # type: ignore[arg-type]


def diff(short: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    urn = f"urn:pulumi:s::p::azure-native:{short}::x"
    request = provider_pb2.DiffRequest(urn=urn, old_inputs=wire(old), news=wire(new))
    return Provider.Diff(None, request, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("short", "own"),
    [
        ("network:Subnet", "subnetName"),
        ("storage:BlobContainer", "containerName"),
        ("keyvault:Secret", "secretName"),
        ("dbforpostgresql:Database", "databaseName"),
        ("authorization:ManagementLockByScope", "lockName"),
        ("monitor:DiagnosticSetting", "name"),
    ],
)
def test_what_is_inside_of_another_resource_bears_the_plain_logical_name(short: str, own: str) -> None:
    made = checked(short, IN_GROUP)
    assert made[own] == "logical"
    assert diff(short, made, {**made, own: "other"}).deleteBeforeReplace


@pytest.mark.parametrize(
    ("short", "own"), [("storage:StorageAccount", "accountName"), ("resources:ResourceGroup", "resourceGroupName")]
)
def test_what_is_in_a_group_has_a_random_name_and_is_replaced_before_it_is_deleted(short: str, own: str) -> None:
    made = checked(short, {"location": "westeurope"})
    assert made[own].startswith("logical")
    assert made[own] != "logical"
    moved = diff(short, made, {**made, "location": "northeurope"})
    assert list(moved.replaces) == ["location"]
    assert not moved.deleteBeforeReplace


def test_an_assignment_without_a_name_is_a_guid() -> None:
    assert len(checked("authorization:RoleAssignment", {"scope": GROUP_ID})["roleAssignmentName"]) == len(GUID)


@pytest.mark.parametrize("change", [{"accountName": "other"}, {"location": "northeurope"}])
def test_what_has_a_given_name_is_deleted_before_it_is_replaced(change: dict[str, str]) -> None:
    given = {**PLACED, "accountName": "stone7f3a"}
    assert diff("storage:StorageAccount", given, {**given, **change}).deleteBeforeReplace


def test_a_state_is_where_the_type_of_the_sdk_has_it(azure: Azure) -> None:
    for token in sorted(f"azure-native:{short}" for short in ("dbforpostgresql:Server", "monitor:MetricAlert")):
        assert "provisioningState" not in sdk_types.outputs_of(token)
        assert "provisioningState" not in computed_outputs.computed(token, f"{GROUP_ID}/x", {})
    vault = answer(azure, "keyvault:Vault", **vaulted("kv-one"))
    assert "provisioningState" not in vault
    assert vault["properties"]["provisioningState"] == "Succeeded"
    assert computed_outputs.computed("azure-native:resources:ResourceGroup", GROUP_ID, {})["properties"] == {
        "provisioningState": "Succeeded"
    }
    assert answer(azure, "operationalinsights:Workspace", **PLACED, workspaceName="log-one")["provisioningState"]


def vaulted(name: str, **properties: Any) -> dict[str, Any]:
    always = {"tenantId": GUID, "sku": {"family": "A", "name": "standard"}}
    return {**PLACED, "vaultName": name, "properties": {**always, **properties}}


def test_an_app_and_its_environment_are_answered_in_full(azure: Azure) -> None:
    environment = answer(azure, "app:ManagedEnvironment", **PLACED, environmentName="cae")
    assert environment["infrastructureResourceGroup"] == "ME_cae_rg_westeurope"
    assert environment["eventStreamEndpoint"].endswith("/eventstream")
    assert environment["customDomainConfiguration"]["customDomainVerificationId"]
    given = {
        "containerAppName": "ca",
        "environmentId": environment["id"],
        "template": {"containers": []},
        "configuration": {"ingress": {"targetPort": 8080}},
    }
    app = answer(azure, "app:ContainerApp", **PLACED, **given)
    assert app["managedEnvironmentId"] == app["environmentId"] == environment["id"]
    ingress = app["configuration"]["ingress"]
    assert ingress["fqdn"].startswith("ca.internal.")
    assert (ingress["transport"], ingress["targetPortHttpScheme"], ingress["targetPort"]) == ("auto", "http", 8080)


def test_a_server_is_answered_in_full(azure: Azure) -> None:
    given = {**PLACED, "serverName": "psql-one", "storage": {"storageSizeGB": 128}}
    server = answer(azure, "dbforpostgresql:Server", **given)
    assert server["storage"] == {"storageSizeGB": 128, "autoGrow": "Disabled", "iops": 500, "tier": "P10", "type": ""}
    assert server["authConfig"] == {"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled"}
    assert server["dataEncryption"] == {"type": "SystemManaged"}
    assert server["maintenanceWindow"]["customWindow"] == "Disabled"
    assert server["replica"]["role"] == "Primary"
    assert server["backup"]["earliestRestoreDate"]
    assert server["highAvailability"] == {"mode": "Disabled", "state": "NotEnabled"}
    parameter = answer(
        azure,
        "dbforpostgresql:Configuration",
        **IN_GROUP,
        serverName="psql-one",
        configurationName="log_lock_waits",
        value="on",
    )
    assert parameter["isReadOnly"] is parameter["isConfigPendingRestart"] is False
    assert {"dataType", "documentationLink"} <= parameter.keys()
    assert parameter["defaultValue"] == "off"
    static = answer(
        azure,
        "dbforpostgresql:Configuration",
        **IN_GROUP,
        serverName="psql-one",
        configurationName="autovacuum_max_workers",
        value="5",
    )
    assert static["isConfigPendingRestart"] is True
    assert (static["isDynamicConfig"], static["defaultValue"]) == (False, "3")


def test_a_server_without_a_zone_is_in_one_that_azure_chose(azure: Azure) -> None:
    standby = {"mode": "ZoneRedundant", "standbyAvailabilityZone": ""}
    given = {**PLACED, "serverName": "psql-one", "availabilityZone": "", "highAvailability": standby}
    server = answer(azure, "dbforpostgresql:Server", **given)
    assert server["availabilityZone"] == "1"
    assert server["highAvailability"]["standbyAvailabilityZone"] == "2"
    azure.update("azure-native:dbforpostgresql:Server", server["id"], given)


def test_a_server_that_grew_has_another_tier_too(azure: Azure) -> None:
    given = {**PLACED, "serverName": "psql-one", "storage": {"storageSizeGB": 128}}
    before = answer(azure, "dbforpostgresql:Server", **given)
    assert refreshed(azure, "dbforpostgresql:Server", given, before) == given
    azure.change(before["id"], storage={"storageSizeGB": 256})
    assert refreshed(azure, "dbforpostgresql:Server", given, before)["storage"] == {
        "storageSizeGB": 256,
        "iops": 1100,
        "tier": "P15",
    }


def test_an_account_and_a_registry_are_answered_in_full(azure: Azure) -> None:
    account = answer(azure, "storage:StorageAccount", **PLACED, accountName="stone7f3a", kind="StorageV2", sku=sku())
    assert account["sku"] == {"name": "Standard_GZRS", "tier": "Standard"}
    assert account["secondaryLocation"] == "northeurope"
    assert account["keyCreationTime"].keys() == {"key1", "key2"}
    assert account["enableHttpsTrafficOnly"] is True
    registry = answer(azure, "containerregistry:Registry", **PLACED, registryName="acrone7f3a", sku={"name": "Basic"})
    assert registry["policies"]["exportPolicy"] == {"status": "enabled"}
    assert registry["encryption"] == {"status": "disabled"}
    assert registry["networkRuleSet"] == {"defaultAction": "Allow", "ipRules": []}


def sku() -> dict[str, str]:
    return {"name": "Standard_GZRS"}


def test_an_administrator_has_the_name_of_its_principal(azure: Azure) -> None:
    answer(azure, "dbforpostgresql:Server", **PLACED, serverName="psql-one")
    who = {"objectId": GUID, "principalName": "id-admin", "principalType": "ServicePrincipal"}
    with pytest.raises(RefusedError, match="WhenServerIsNotAccessible"):  # a new server does at first
        answer(azure, "dbforpostgresql:AdministratorsMicrosoftEntra", **IN_GROUP, serverName="psql-one", **who)
    made = answer(azure, "dbforpostgresql:AdministratorsMicrosoftEntra", **IN_GROUP, serverName="psql-one", **who)
    assert made["name"] == "id-admin"
    assert made["id"].endswith(GUID)


def test_a_vault_answers_ranges_and_an_assignment_the_short_form_of_its_role(azure: Azure) -> None:
    acls = {"defaultAction": "Deny", "bypass": "None", "ipRules": [{"value": "20.1.2.3"}, {"value": "20.1.0.0/16"}]}
    given = vaulted("kv-one", networkAcls=acls)
    vault = answer(azure, "keyvault:Vault", **given)
    assert [rule["value"] for rule in vault["properties"]["networkAcls"]["ipRules"]] == ["20.1.2.3/32", "20.1.0.0/16"]
    assert vault["tags"] == {}
    assert refreshed(azure, "keyvault:Vault", given, vault) == given
    assignment = answer(
        azure,
        "authorization:RoleAssignment",
        scope=GROUP_ID,
        roleAssignmentName=GUID,
        principalId=computed_outputs.client()["objectId"],
        principalType="ServicePrincipal",
        roleDefinitionId=f"/subscriptions/{SUBSCRIPTION}{READER}",
    )
    assert assignment["roleDefinitionId"] == READER


def test_a_workbook_is_answered_without_its_content(azure: Azure) -> None:
    workbook = {"resourceName": GUID, "category": "workbook", "displayName": "MLflow", "serializedData": "{}"}
    made = answer(azure, "applicationinsights:Workbook", **PLACED, **workbook)
    assert "serializedData" not in made
    assert made["sourceId"] == "azure monitor"
    assert made["revision"]


def test_what_comes_later_to_a_network_shows_at_a_refresh(azure: Azure) -> None:
    """An address names its NAT gateway, a subnet its server's service endpoint, an endpoint its names no longer."""
    network = {"virtualNetworkName": "v", "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
    vnet = answer(azure, "network:VirtualNetwork", **PLACED, **network)
    delegated = [{"name": "service", "serviceName": "Microsoft.DBforPostgreSQL/flexibleServers"}]
    inside = {**IN_GROUP, "virtualNetworkName": "v", "subnetName": "db", "addressPrefix": "10.0.0.0/28"}
    subnet = answer(azure, "network:Subnet", **inside, delegations=delegated)
    public = {**PLACED, "publicIpAddressName": "out", "sku": {"name": "Standard"}}
    address = answer(azure, "network:PublicIPAddress", **public)
    account = answer(azure, "storage:StorageAccount", **PLACED, accountName="stone7f3a", kind="StorageV2", sku=sku())
    private = {
        **PLACED,
        "privateEndpointName": "pe",
        "privateLinkServiceConnections": [{"name": "blob", "privateLinkServiceId": account["id"]}],
    }
    endpoint = answer(azure, "network:PrivateEndpoint", **private)
    assert endpoint["manualPrivateLinkServiceConnections"] == []
    assert endpoint["customDnsConfigs"]

    zone = answer(azure, "privatedns:PrivateZone", **IN_GROUP, location="global", privateZoneName="a.example.com")
    configs = [{"name": "blob", "privateDnsZoneId": zone["id"]}]
    group = {"privateEndpointName": "pe", "privateDnsZoneGroupName": "default", "privateDnsZoneConfigs": configs}
    answer(azure, "network:PrivateDnsZoneGroup", **IN_GROUP, **group)
    answer(azure, "network:NatGateway", **PLACED, natGatewayName="nat", publicIpAddresses=[{"id": address["id"]}])
    answer(
        azure,
        "dbforpostgresql:Server",
        **PLACED,
        serverName="psql-one",
        network={"delegatedSubnetResourceId": subnet["id"]},
    )

    assert refreshed(azure, "network:PrivateEndpoint", private, endpoint)["customDnsConfigs"] == []
    assert refreshed(azure, "network:PublicIPAddress", public, address)["natGateway"]["id"].endswith("/nat")
    given = {**inside, "delegations": delegated}
    assert refreshed(azure, "network:Subnet", given, subnet)["serviceEndpoints"] == [{"service": "Microsoft.Storage"}]
    # Subnets that are resources of their own do not become inputs of the network.
    assert refreshed(azure, "network:VirtualNetwork", {**PLACED, **network}, vnet) == {**PLACED, **network}


def test_what_azure_alone_writes_becomes_no_input(azure: Azure) -> None:
    given = {**PLACED, "serverName": "psql-one", "highAvailability": {"mode": "ZoneRedundant"}}
    before = answer(azure, "dbforpostgresql:Server", **given)
    assert before["highAvailability"]["state"] == "Healthy"
    before["highAvailability"]["state"] = "FailingOver"
    before["backup"]["earliestRestoreDate"] = None
    assert refreshed(azure, "dbforpostgresql:Server", given, before) == given


def test_in_a_preview_all_that_is_not_given_is_unknown() -> None:
    shown = preview_outputs("azure-native:storage:StorageAccount", {**PLACED, "accountName": "stone7f3a"})
    assert shown["location"] == "westeurope"
    assert shown["accessTier"] is shown["primaryEndpoints"]["blob"] is UNKNOWN


def test_in_a_preview_of_an_update_too_but_for_name_and_location(azure: Azure) -> None:
    """As azure-native's own `Update`: what takes another value of it is not known before the update."""
    kind = "managedidentity:UserAssignedIdentity"
    given = {**PLACED, "resourceName": "id-one"}
    before = answer(azure, kind, **given)
    request = provider_pb2.UpdateRequest(
        id=before["id"],
        urn=f"urn:pulumi:s::p::azure-native:{kind}::x",
        olds=wire(before),
        news=wire({**given, "tags": {"owner": "team"}}),
        preview=True,
    )
    shown = plain(Provider(azure).Update(request, None).properties)
    assert (shown["location"], shown["tags"]) == ("westeurope", {"owner": "team"})
    assert {shown[key] for key in ("principalId", "clientId", "tenantId")} == {UNKNOWN}
    assert before["principalId"] is not UNKNOWN
