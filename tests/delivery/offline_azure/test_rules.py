"""What the offline Azure refuses in a resource because of the ones beside it."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.offline_azure import computed_outputs
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
READER = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7"
FIRST = "11111111-1111-1111-1111-111111111111"
SECOND = "22222222-2222-2222-2222-222222222222"


def make(azure: Azure, short: str, **inputs: Any) -> str:
    return str(azure.create(f"azure-native:{short}", {**inputs})["id"])


def refused(code: str) -> Any:
    return pytest.raises(RefusedError, match=f'Code="{code}"')


def identity(azure: Azure, name: str = "id-one") -> str:
    return make(azure, "managedidentity:UserAssignedIdentity", **PLACED, resourceName=name)


def subnet(azure: Azure, name: str, cidr: str, service: str | None = None) -> str:
    network = f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/v"
    if network.lower() not in azure.resources:
        space = {"addressPrefixes": ["10.0.0.0/16"]}
        make(azure, "network:VirtualNetwork", **PLACED, virtualNetworkName="v", addressSpace=space)
    delegations = [{"name": "service", "serviceName": service}] if service else []
    placed = {"resourceGroupName": "rg", "virtualNetworkName": "v", "subnetName": name}
    return make(azure, "network:Subnet", **placed, addressPrefix=cidr, delegations=delegations)


def environment(azure: Azure, name: str, subnet_id: str | None = None) -> str:
    where = {"vnetConfiguration": {"infrastructureSubnetId": subnet_id, "internal": True}} if subnet_id else {}
    return make(azure, "app:ManagedEnvironment", **PLACED, environmentName=name, **where)


def assignment(azure: Azure, name: str, principal: str, scope: str = GROUP_ID) -> str:
    return make(
        azure,
        "authorization:RoleAssignment",
        roleAssignmentName=name,
        scope=scope,
        principalId=principal,
        principalType="ServicePrincipal",
        roleDefinitionId=READER,
    )


def test_an_app_needs_its_environment_and_its_identity(azure: Azure) -> None:
    app = {**PLACED, "containerAppName": "ca", "template": {"containers": []}}
    missing = f"{GROUP_ID}/providers/Microsoft.App/managedEnvironments/none"
    with refused("InvalidResourceReference"):
        make(azure, "app:ContainerApp", **app, environmentId=missing)
    app["environmentId"] = environment(azure, "cae")
    nobody = f"{GROUP_ID}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-one"
    app["identity"] = {"type": "UserAssigned", "userAssignedIdentities": [nobody]}
    with refused("FailedIdentityOperation"):
        make(azure, "app:ContainerApp", **app)
    assert identity(azure) == nobody
    make(azure, "app:ContainerApp", **app)


def test_an_environment_needs_a_delegated_subnet_of_its_own(azure: Azure) -> None:
    with refused("ManagedEnvironmentSubnetDelegationError"):
        environment(azure, "cae", subnet(azure, "plain", "10.0.0.0/27"))
    with refused("ManagedEnvironmentInvalidNetworkConfiguration"):
        environment(azure, "cae", subnet(azure, "small", "10.0.1.0/28", "Microsoft.App/environments"))
    apps = subnet(azure, "apps", "10.0.2.0/27", "Microsoft.App/environments")
    environment(azure, "cae", apps)
    with refused("ManagedEnvironmentSubnetInUse"):
        environment(azure, "other", apps)


def test_a_server_needs_a_subnet_delegated_to_servers(azure: Azure) -> None:
    def server(name: str, subnet_id: str) -> str:
        network = {"delegatedSubnetResourceId": subnet_id}
        return make(azure, "dbforpostgresql:Server", **PLACED, serverName=name, network=network)

    with refused("SubnetNotDelegated"):
        server("psql-one", subnet(azure, "apps", "10.0.2.0/27", "Microsoft.App/environments"))
    own = subnet(azure, "db", "10.0.3.0/28", "Microsoft.DBforPostgreSQL/flexibleServers")
    server("psql-one", own)
    server("psql-two", own)


def test_a_role_is_given_to_who_is_there_once_and_by_a_guid(azure: Azure) -> None:
    with refused("PrincipalNotFound"):
        assignment(azure, FIRST, computed_outputs.guid("nobody", "principal"))
    principal = computed_outputs.guid(identity(azure), "principal")
    with refused("InvalidRoleAssignmentId"):
        assignment(azure, "reader", principal)
    first = assignment(azure, FIRST, principal)
    with refused("RoleAssignmentExists"):
        assignment(azure, SECOND, principal.upper(), scope=GROUP_ID.upper() + "/")
    azure.delete("azure-native:authorization:RoleAssignment", first)
    assignment(azure, SECOND, principal)


def test_a_role_on_a_secret_needs_the_vault_alone(azure: Azure) -> None:
    principal = computed_outputs.guid(identity(azure), "principal")
    vault = f"{GROUP_ID}/providers/Microsoft.KeyVault/vaults/kv-one"
    with refused("ParentResourceNotFound"):
        assignment(azure, FIRST, principal, f"{vault}/secrets/kek")
    properties = {"tenantId": FIRST, "sku": {"family": "A", "name": "standard"}}
    make(azure, "keyvault:Vault", **PLACED, vaultName="kv-one", properties=properties)
    assignment(azure, FIRST, principal, f"{vault}/secrets/kek")
    azure.delete("azure-native:keyvault:Vault", vault)
    assert not any("/roleassignments/" in key for key in azure.resources)


def test_a_federated_credential_is_there_once(azure: Azure) -> None:
    identity(azure)

    def credential(name: str, subject: str) -> str:
        return make(
            azure,
            "managedidentity:FederatedIdentityCredential",
            resourceGroupName="rg",
            resourceName="id-one",
            federatedIdentityCredentialResourceName=name,
            issuer="https://token.actions.githubusercontent.com",
            subject=subject,
            audiences=["api://AzureADTokenExchange"],
        )

    credential("first", "repo:acme/mlflow:environment:dev")
    with refused("Conflict"):
        credential("second", "repo:acme/mlflow:environment:dev")
    for number in range(19):
        credential(f"more-{number}", f"repo:acme/mlflow:environment:e{number}")
    with refused("BadRequest"):
        credential("last", "repo:acme/mlflow:environment:last")


def test_logs_go_to_a_workspace_once_and_not_from_an_account_itself(azure: Azure) -> None:
    workspace = make(azure, "operationalinsights:Workspace", **PLACED, workspaceName="log-one")
    account = make(
        azure,
        "storage:StorageAccount",
        **PLACED,
        accountName="stone7f3a",
        kind="StorageV2",
        sku={"name": "Standard_LRS"},
    )

    def setting(name: str, target: str) -> str:
        logs = [{"categoryGroup": "allLogs", "enabled": True}]
        return make(azure, "monitor:DiagnosticSetting", name=name, resourceUri=target, workspaceId=workspace, logs=logs)

    with refused("BadRequest"):
        setting("logs", account)
    setting("logs", f"{account}/blobServices/default")
    with refused("Conflict"):
        setting("again", f"{account}/blobServices/default")


def test_a_network_is_linked_to_a_zone_once_and_a_workbook_has_a_guid(azure: Azure) -> None:
    subnet(azure, "any", "10.0.0.0/27")
    make(azure, "privatedns:PrivateZone", resourceGroupName="rg", location="global", privateZoneName="a.example.com")

    def link(name: str) -> str:
        network = {"id": f"{GROUP_ID}/providers/Microsoft.Network/virtualNetworks/v"}
        placed = {"resourceGroupName": "rg", "location": "global", "privateZoneName": "a.example.com"}
        return make(
            azure, "privatedns:VirtualNetworkLink", **placed, virtualNetworkLinkName=name, virtualNetwork=network
        )

    link("first")
    with refused("Conflict"):
        link("second")
    workbook = {**PLACED, "category": "workbook", "displayName": "MLflow", "serializedData": "{}"}
    with refused("InvalidResourceName"):
        make(azure, "applicationinsights:Workbook", **workbook, resourceName="mlflow")
    make(azure, "applicationinsights:Workbook", **workbook, resourceName=FIRST)


def test_a_provider_that_is_not_registered_makes_nothing(azure: Azure) -> None:
    azure.unregister("Microsoft.ManagedIdentity")
    with refused("MissingSubscriptionRegistration"):
        identity(azure)


def test_nodes_that_encrypt_at_their_host_need_the_feature(azure: Azure) -> None:
    pools = [{"name": "system", "mode": "System", "count": 1, "enableEncryptionAtHost": True}]
    cluster = {**PLACED, "resourceName": "aks-one", "dnsPrefix": "one", "agentPoolProfiles": pools}
    azure.unregister("Microsoft.Compute/EncryptionAtHost")
    with refused("SubscriptionNotEnabledEncryptionAtHost"):
        make(azure, "containerservice:ManagedCluster", **cluster)
    azure.unregister("Microsoft.ContainerService")
    with refused("MissingSubscriptionRegistration"):
        make(azure, "containerservice:ManagedCluster", **cluster)
