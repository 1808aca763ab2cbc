"""What every Azure stack must hold, asserted over all that its program registers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.recorder import UNKNOWN, Graph
from tests.support.stacks import DIGEST, STACKS, graph

SOME_ID = "11111111-1111-1111-1111-111111111111"
PROTECTED = ("staging", "prod")

# Types with logs or metrics that Azure sends only where a setting asks for it. A private endpoint, an identity or a
# DNS zone has none; the apps' logs are their environment's.
WITH_DIAGNOSTICS = (
    "azure-native:app:ManagedEnvironment",
    "azure-native:containerregistry:Registry",
    "azure-native:dbforpostgresql:Server",
    "azure-native:keyvault:Vault",
    "azure-native:network:NetworkSecurityGroup",
    "azure-native:network:PublicIPAddress",
    "azure-native:network:VirtualNetwork",
    "azure-native:operationalinsights:Workspace",
    "azure-native:storage:BlobServiceProperties",
    "azure-native:storage:StorageAccount",
)
# What holds data that nobody can make again, and what a lock of its own keeps.
DATA = (
    "azure-native:containerregistry:Registry",
    "azure-native:dbforpostgresql:Server",
    "azure-native:keyvault:Vault",
    "azure-native:operationalinsights:Workspace",
    "azure-native:storage:StorageAccount",
)


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def only(recorded: Graph, token: str) -> dict[str, Any]:
    (name,) = recorded.of_type(f"azure-native:{token}")
    return recorded.inputs(name)


CERTIFICATE = (
    "/subscriptions/s/resourceGroups/rg-mlflow-dev/providers/Microsoft.App/managedEnvironments/cae-mlflow-dev"
    "/managedCertificates/mlflow"
)


@pytest.mark.parametrize("certificate", [None, CERTIFICATE.replace("managedCertificates", "certificates")])
def test_a_name_of_ones_own_is_the_gateways_once_it_has_a_certificate(certificate: str | None) -> None:
    domain = {"host": "mlflow.example.com", **({"certificate": certificate} if certificate else {})}
    recorded = graph("dev", domain=domain)
    apps = {
        app["containerAppName"]: app for app in map(recorded.inputs, recorded.of_type("azure-native:app:ContainerApp"))
    }
    named = {name: app["configuration"]["ingress"].get("customDomains") for name, app in apps.items()}
    bound = {"bindingType": "SniEnabled", "certificateId": certificate} if certificate else {"bindingType": "Disabled"}
    assert {name: given for name, given in named.items() if given} == {
        "mlflow-gateway": [{"name": "mlflow.example.com", **bound}]
    }
    env = {each["name"]: each.get("value") for each in apps["mlflow-gateway"]["template"]["containers"][0]["env"]}
    served = env["MLFLOW_RUNTIME_PUBLIC_HOSTS"]
    assert (served == "mlflow.example.com") is (certificate is not None)


def identifier(recorded: Graph, name: str) -> str:
    """The id that the recorder gave to a resource, as others refer to it."""
    kind = recorded.type(name).removeprefix("azure-native:").replace(":", "/")
    return f"/providers/{kind}/{name}"


def test_a_public_gateway_has_services_that_ask_who_calls() -> None:
    directory = {"tenantId": SOME_ID, "clientId": SOME_ID}
    recorded = graph("dev", ingress="public", access={"mode": "entra", **directory}, teams=["team-a"])
    environment = only(recorded, "app:ManagedEnvironment")
    assert environment["vnetConfiguration"]["internal"] is False
    assert environment["publicNetworkAccess"] == "Enabled"
    apps = [recorded.inputs(name) for name in recorded.of_type("azure-native:app:ContainerApp")]
    given = {
        container["name"]: {each["name"]: each.get("value") for each in container["env"]}
        for app in apps
        for container in app["template"]["containers"]
    }
    asking = {name for name, env in given.items() if env.get("MLFLOW_RUNTIME_ACCESS_MODE") == "entra"}
    assert asking == {"tracking", "registry", "artifacts"}
    assert {given[name]["MLFLOW_RUNTIME_ACCESS_TEAMS"] for name in asking} == {"team-a"}
    (job,) = (recorded.inputs(name) for name in recorded.of_type("azure-native:app:Job"))
    prepare = {each["name"]: each.get("value") for each in job["template"]["containers"][0]["env"]}
    assert prepare["MLFLOW_RUNTIME_ACCESS_TEAMS"] == "team-a"
    assert only(recorded, "storage:StorageAccount")["publicNetworkAccess"] == "Disabled"


def test_data_has_no_public_side(stack: str) -> None:
    recorded = graph(stack)
    account, vault = only(recorded, "storage:StorageAccount"), only(recorded, "keyvault:Vault")["properties"]
    assert account["publicNetworkAccess"] == vault["publicNetworkAccess"] == "Disabled"
    assert account["networkRuleSet"]["defaultAction"] == vault["networkAcls"]["defaultAction"] == "Deny"
    assert account["networkRuleSet"]["ipRules"] == vault["networkAcls"]["ipRules"] == []
    assert account["allowBlobPublicAccess"] is False
    assert only(recorded, "storage:BlobContainer")["publicAccess"] == "None"
    assert only(recorded, "dbforpostgresql:Server")["network"]["delegatedSubnetResourceId"]
    assert recorded.of_type("azure-native:dbforpostgresql:FirewallRule") == []
    registry = only(recorded, "containerregistry:Registry")
    assert registry["publicNetworkAccess"] == ("Disabled" if stack in PROTECTED else "Enabled")


def test_only_the_outbound_address_is_public(stack: str) -> None:
    recorded = graph(stack)
    environment = only(recorded, "app:ManagedEnvironment")
    assert environment["vnetConfiguration"]["internal"] is True
    assert environment["publicNetworkAccess"] == "Disabled"
    addresses = recorded.of_type("azure-native:network:PublicIPAddress")
    assert addresses == (["network-outbound-address"] if stack in PROTECTED else [])
    for group in recorded.of_type("azure-native:network:NetworkSecurityGroup"):
        incoming = [rule for rule in recorded.inputs(group)["securityRules"] if rule["direction"] == "Inbound"]
        sources = {rule.get("sourceAddressPrefix") for rule in incoming if rule["access"] == "Allow"}
        assert not sources & {"*", "Internet", "0.0.0.0/0"}
        assert incoming[-1]["access"] == "Deny"


def test_nobody_signs_in_with_a_key_or_a_password(stack: str) -> None:
    recorded = graph(stack)
    account = only(recorded, "storage:StorageAccount")
    assert account["allowSharedKeyAccess"] is False
    assert account["isLocalUserEnabled"] is False
    assert only(recorded, "dbforpostgresql:Server")["authConfig"]["passwordAuth"] == "Disabled"
    assert only(recorded, "dbforpostgresql:Server")["authConfig"]["activeDirectoryAuth"] == "Enabled"
    registry = only(recorded, "containerregistry:Registry")
    assert registry["adminUserEnabled"] is registry["anonymousPullEnabled"] is False
    assert only(recorded, "operationalinsights:Workspace")["features"]["disableLocalAuth"] is True
    assert only(recorded, "keyvault:Vault")["properties"]["enableRbacAuthorization"] is True


def test_what_travels_is_encrypted(stack: str) -> None:
    recorded = graph(stack)
    account = only(recorded, "storage:StorageAccount")
    assert account["enableHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"
    assert account["encryption"]["requireInfrastructureEncryption"] is True
    parameters = {
        values["configurationName"]: values["value"]
        for values in map(recorded.inputs, recorded.of_type("azure-native:dbforpostgresql:Configuration"))
    }
    assert parameters["require_secure_transport"] == "on"
    assert parameters["ssl_min_protocol_version"] in ("TLSv1.2", "TLSv1.3")
    assert only(recorded, "app:ManagedEnvironment")["peerTrafficConfiguration"]["encryption"]["enabled"] is True
    apps = recorded.of_type("azure-native:app:ContainerApp")
    assert len(apps) == 4
    for app in apps:
        assert recorded.inputs(app)["configuration"]["ingress"]["allowInsecure"] is False
        for name, value in environment(recorded, app).items():
            if name.endswith("DATABASE_URL"):
                assert value.endswith("sslmode=verify-full")


def environment(recorded: Graph, workload: str) -> dict[str, Any]:
    (container,) = recorded.inputs(workload)["template"]["containers"]
    return {item["name"]: item["value"] for item in container["env"]}


def test_containers_run_one_image_by_digest_as_themselves_and_hold_no_secret(stack: str) -> None:
    recorded = graph(stack)
    workloads = [name for kind in ("ContainerApp", "Job") for name in recorded.of_type(f"azure-native:app:{kind}")]
    assert len(workloads) == 5
    identities = set()
    for name in workloads:
        values = recorded.inputs(name)
        (container,) = values["template"]["containers"]
        assert container["image"] == f"registry.azurecr.io/mlflow-platform@{DIGEST}"
        assert "secrets" not in values["configuration"]
        assert all(set(item) == {"name", "value"} for item in container["env"])
        (identity,) = values["identity"]["userAssignedIdentities"]
        identities.add(identity)
        (registry,) = values["configuration"]["registries"]
        assert registry == {"server": "registry.azurecr.io", "identity": identity}
    assert len(identities) == 5


def test_no_input_of_any_resource_is_a_credential(stack: str) -> None:
    recorded = graph(stack)
    for name in recorded.names:
        written = json.dumps(recorded.inputs(name), default=str).lower()
        for word in ("administratorloginpassword", "accountkey", "sharedaccess", "primarykey", "connectionstring"):
            assert word not in written, f"{name} has {word}"


def test_every_resource_that_has_logs_sends_them_to_the_workspace(stack: str) -> None:
    recorded = graph(stack)
    settings = [recorded.inputs(name) for name in recorded.of_type("azure-native:monitor:DiagnosticSetting")]
    (workspace,) = recorded.of_type("azure-native:operationalinsights:Workspace")
    assert all(setting["workspaceId"].endswith(identifier(recorded, workspace)) for setting in settings)
    watched = {setting["resourceUri"] for setting in settings}
    silent = [
        name
        for token in WITH_DIAGNOSTICS
        for name in recorded.of_type(token)
        if not any(uri.endswith(identifier(recorded, name)) for uri in watched)
    ]
    assert silent == []


def test_data_outside_dev_is_locked_and_protected(stack: str) -> None:
    recorded = graph(stack)
    locks = [recorded.inputs(name) for name in recorded.of_type("azure-native:authorization:ManagementLockByScope")]
    locked = {lock["scope"] for lock in locks if lock["level"] == "CanNotDelete"}
    for token in DATA:
        (name,) = recorded.of_type(token)
        assert recorded.options(name).protect is (stack in PROTECTED), name
        assert any(scope.endswith(identifier(recorded, name)) for scope in locked) is (stack in PROTECTED), name
    for name in recorded.of_type("azure-native:dbforpostgresql:Database"):
        assert recorded.options(name).protect is (stack in PROTECTED), name
    assert recorded.options("group").protect is (stack in PROTECTED)


def test_backups_and_copies_grow_with_what_is_at_stake() -> None:
    servers = {stack: only(graph(stack), "dbforpostgresql:Server") for stack in STACKS}
    assert {stack: server["backup"]["backupRetentionDays"] for stack, server in servers.items()} == {
        "dev": 7,
        "staging": 14,
        "prod": 35,
    }
    assert servers["prod"]["highAvailability"]["mode"] == "ZoneRedundant"
    assert servers["prod"]["backup"]["geoRedundantBackup"] == "Enabled"
    assert servers["dev"]["sku"] == {"name": "Standard_B2s", "tier": "Burstable"}
    skus = {stack: only(graph(stack), "storage:StorageAccount")["sku"]["name"] for stack in STACKS}
    assert skus == {"dev": "Standard_LRS", "staging": "Standard_ZRS", "prod": "Standard_GZRS"}
    assert only(graph("prod"), "keyvault:Vault")["properties"]["enablePurgeProtection"] is True


def test_services_scale_to_zero_in_dev_alone() -> None:
    for stack in STACKS:
        recorded = graph(stack)
        apps = map(recorded.inputs, recorded.of_type("azure-native:app:ContainerApp"))
        least = {app["template"]["scale"]["minReplicas"] for app in apps}
        assert (least == {0}) is (stack == "dev"), stack
        assert only(recorded, "app:ManagedEnvironment")["zoneRedundant"] is (stack in PROTECTED)


def test_what_azure_decides_is_unknown_in_a_preview_and_the_graph_is_the_same(stack: str) -> None:
    previewed, recorded = graph(stack, preview=True), graph(stack)
    assert sorted(previewed.names) == sorted(recorded.names)
    assert previewed.inputs("postgres-administrator")["objectId"] is UNKNOWN


def test_what_azure_refuses_at_the_same_time_is_made_one_after_the_other(stack: str) -> None:
    """A storage account takes one operation at a time: its endpoint comes after all that is made in it and on it."""
    recorded = graph(stack)
    inside = {"store-blob-service", "store-container", "store-lifecycle", *({"store-lock"} & set(recorded.names))}
    assert inside <= recorded.dependencies("endpoint-blob-endpoint")


def test_no_database_is_made_through_arm(stack: str) -> None:
    """It would belong to a role as which nobody can act: prepare makes them."""
    assert graph(stack).of_type("azure-native:dbforpostgresql:Database") == []
