"""The strict check itself: valid bodies pass, and no single-property corruption of them does."""

from __future__ import annotations

import copy
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from delivery.offline_azure import sdk_types
from tests.support import arm
from tests.support.arm_schemas import bodies, schema

IN_GROUP = {"resourceGroupName": "rg"}
PLACED = {**IN_GROUP, "location": "westeurope", "tags": {"owner": "platform"}}

VALID: dict[str, dict[str, Any]] = {
    "storage:StorageAccount": {
        **PLACED,
        "accountName": "stmlflow7f3a",
        "kind": "StorageV2",
        "sku": {"name": "Standard_ZRS"},
        "allowSharedKeyAccess": False,
        "enableHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
        "networkRuleSet": {"defaultAction": "Deny", "bypass": "None", "ipRules": []},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": ["/subscriptions/s/id"]},
        "encryption": {"keySource": "Microsoft.Storage", "requireInfrastructureEncryption": True},
    },
    "storage:BlobServiceProperties": {
        **IN_GROUP,
        "accountName": "stmlflow7f3a",
        "blobServicesName": "default",
        "deleteRetentionPolicy": {"enabled": True, "days": 30.0},
        "isVersioningEnabled": True,
    },
    "keyvault:Vault": {
        **PLACED,
        "vaultName": "kv-mlflow-7f3a",
        "properties": {
            "tenantId": "11111111-1111-1111-1111-111111111111",
            "sku": {"family": "A", "name": "standard"},
            "enablePurgeProtection": True,
            "softDeleteRetentionInDays": 90,
            "networkAcls": {"defaultAction": "Deny", "bypass": "None"},
        },
    },
    "dbforpostgresql:Server": {
        **PLACED,
        "serverName": "psql-mlflow-7f3a",
        "version": "16",
        "sku": {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"},
        "storage": {"storageSizeGB": 64, "autoGrow": "Enabled"},
        "backup": {"backupRetentionDays": 35, "geoRedundantBackup": "Enabled"},
        "highAvailability": {"mode": "ZoneRedundant"},
        "authConfig": {"activeDirectoryAuth": "Enabled", "passwordAuth": "Disabled"},
    },
    "dbforpostgresql:AdministratorsMicrosoftEntra": {
        **IN_GROUP,
        "serverName": "psql-mlflow-7f3a",
        "objectId": "11111111-1111-1111-1111-111111111111",
        "principalName": "mlflow-prepare",
        "principalType": "ServicePrincipal",
    },
    "network:VirtualNetwork": {
        **PLACED,
        "virtualNetworkName": "vnet",
        "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
        "subnets": [{"name": "apps", "addressPrefix": "10.0.0.0/23", "networkSecurityGroup": {"id": "/x"}}],
    },
    "authorization:RoleAssignment": {
        "scope": "/subscriptions/s",
        "roleAssignmentName": "22222222-2222-2222-2222-222222222222",
        "principalId": "p",
        "principalType": "ServicePrincipal",
        "roleDefinitionId": "/r",
    },
    "authorization:ManagementLockByScope": {"scope": "/subscriptions/s", "lockName": "keep", "level": "CanNotDelete"},
    "app:ContainerApp": {
        **PLACED,
        "containerAppName": "mlflow-tracking",
        "managedEnvironmentId": "/e",
        "configuration": {"activeRevisionsMode": "Single", "ingress": {"external": False, "targetPort": 8080}},
        "template": {
            "containers": [{"name": "service", "image": "i", "resources": {"cpu": 0.5, "memory": "1Gi"}}],
            "scale": {"minReplicas": 0, "maxReplicas": 3},
        },
    },
    "monitor:MetricAlert": {
        **IN_GROUP,
        "location": "global",
        "ruleName": "alert",
        "enabled": True,
        "severity": 1,
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "scopes": ["/s"],
        "criteria": {
            "odataType": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            "allOf": [
                {
                    "criterionType": "StaticThresholdCriterion",
                    "name": "c",
                    "metricName": "m",
                    "operator": "GreaterThan",
                    "threshold": 80,
                    "timeAggregation": "Average",
                }
            ],
        },
    },
}

GONE = object()
CORRUPTIONS: list[tuple[str, str, Any]] = [
    ("storage:StorageAccount", "accountName", "st"),
    ("storage:StorageAccount", "accountName", "st-mlflow"),
    ("storage:StorageAccount", "accountName", "s" * 25),
    ("storage:StorageAccount", "kind", "StorageV9"),
    ("storage:StorageAccount", "kind", GONE),
    ("storage:StorageAccount", "sku.name", "Standard_XRS"),
    ("storage:StorageAccount", "sku", GONE),
    ("storage:StorageAccount", "location", GONE),
    ("storage:StorageAccount", "allowSharedKeyAcces", False),
    ("storage:StorageAccount", "allowSharedKeyAccess", "false"),
    ("storage:StorageAccount", "primaryEndpoints", {"blob": "https://x"}),
    ("storage:StorageAccount", "minimumTlsVersion", "1.2"),
    ("storage:StorageAccount", "networkRuleSet.defaultAction", "Refuse"),
    ("storage:StorageAccount", "networkRuleSet.defaultAction", GONE),
    ("storage:StorageAccount", "tags.owner", 7),
    ("storage:StorageAccount", "encryption.keysource", "Microsoft.Storage"),
    ("storage:BlobServiceProperties", "deleteRetentionPolicy.days", 366),
    ("storage:BlobServiceProperties", "deleteRetentionPolicy.days", 1.5),
    ("storage:BlobServiceProperties", "deleteRetentionPolicy.dayz", 7),
    ("storage:BlobServiceProperties", "blobServicesName", "other"),
    ("keyvault:Vault", "vaultName", "kv_mlflow"),
    ("keyvault:Vault", "properties.tenantId", GONE),
    ("keyvault:Vault", "properties.sku.family", "B"),
    ("keyvault:Vault", "properties.vaultUrl", "https://x"),
    ("keyvault:Vault", "properties.softDeleteRetentionInDays", "90"),
    ("keyvault:Vault", "properties.networkAcls.bypass", "Everything"),
    ("dbforpostgresql:Server", "version", "9"),
    ("dbforpostgresql:Server", "serverName", "ps"),
    ("dbforpostgresql:Server", "sku.tier", "Standard"),
    ("dbforpostgresql:Server", "sku.tier", GONE),
    ("dbforpostgresql:Server", "storage.autoGrow", True),
    ("dbforpostgresql:Server", "storage.storageSizeGb", 64),
    ("dbforpostgresql:Server", "highAvailability.mode", "Zonal"),
    ("dbforpostgresql:Server", "fullyQualifiedDomainName", "x"),
    ("dbforpostgresql:AdministratorsMicrosoftEntra", "principalType", "Identity"),
    ("network:VirtualNetwork", "addressSpace.addressPrefixes", "10.0.0.0/16"),
    ("network:VirtualNetwork", "subnets.0.addresPrefix", "10.0.0.0/23"),
    ("authorization:RoleAssignment", "principalType", "Service"),
    ("authorization:RoleAssignment", "roleDefinitionId", GONE),
    ("authorization:ManagementLockByScope", "level", "NoDelete"),
    ("app:ContainerApp", "configuration.activeRevisionsMode", "Both"),
    ("app:ContainerApp", "template.containers.0.imagee", "i"),
    ("app:ContainerApp", "template.scale.minReplicas", "0"),
    ("app:ContainerApp", "configuration.ingress.targetPort", "8080"),
    ("monitor:MetricAlert", "criteria.odataType", "Microsoft.Azure.Monitor.NoSuchCriteria"),
    ("monitor:MetricAlert", "criteria.allOf.0.operator", "Above"),
    ("monitor:MetricAlert", "severity", "high"),
    ("monitor:MetricAlert", "windowSize", GONE),
]


def corrupted(inputs: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The inputs with one value set, or taken away."""
    result = copy.deepcopy(inputs)
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner: Any = result
    for key in way:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return result


@arm.needs_schemas
@pytest.mark.parametrize("token", VALID)
def test_a_valid_body_passes(token: str) -> None:
    assert arm.violations(f"azure-native:{token}", VALID[token]) == []


@arm.needs_schemas
@pytest.mark.parametrize(("token", "path", "value"), CORRUPTIONS)
def test_a_corruption_of_one_property_is_caught(token: str, path: str, value: Any) -> None:
    found = arm.violations(f"azure-native:{token}", corrupted(VALID[token], path, value))
    assert len(found) == 1, found


@arm.needs_schemas
@pytest.mark.parametrize("unknown", [rpc.UNKNOWN, pulumi.Output.from_input("x"), object()])
def test_an_unknown_is_skipped_at_its_place_alone(unknown: Any) -> None:
    given = corrupted(VALID["storage:StorageAccount"], "sku.name", unknown)
    assert arm.violations("azure-native:storage:StorageAccount", given) == []
    assert arm.violations("azure-native:storage:StorageAccount", {**given, "kind": "StorageV9"}) != []


@arm.needs_schemas
def test_a_secret_is_opened_and_checked() -> None:
    secret = {rpc._special_sig_key: rpc._special_secret_sig, "value": "StorageV9"}
    given = corrupted(VALID["storage:StorageAccount"], "kind", secret)
    assert "StorageV9" in arm.violations("azure-native:storage:StorageAccount", given)[0]


@arm.needs_schemas
def test_renamed_and_flattened_properties_get_to_their_place() -> None:
    body = bodies.body("azure-native:storage:StorageAccount", VALID["storage:StorageAccount"])
    assert body["properties"]["supportsHttpsTrafficOnly"] is True
    assert body["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert body["identity"]["userAssignedIdentities"] == {"/subscriptions/s/id": {}}
    network = bodies.body("azure-native:network:VirtualNetwork", VALID["network:VirtualNetwork"])
    assert network["properties"]["subnets"][0]["properties"]["addressPrefix"] == "10.0.0.0/23"


@arm.needs_schemas
def test_every_type_of_the_table_has_a_readable_schema() -> None:
    for token in bodies.table():
        assert bodies.root_schema(token)["$defs"]


def test_a_schema_keyword_that_is_not_checked_is_refused() -> None:
    with pytest.raises(ValueError, match="multipleOf"):
        list(schema.violations(3, {"multipleOf": 2}, {}))


def test_a_type_without_a_schema_is_checked_by_the_sdk() -> None:
    budget = {
        "scope": "/subscriptions/s",
        "budgetName": "b",
        "amount": 100,
        "category": "Cost",
        "timeGrain": "Monthly",
        "timePeriod": {"startDate": "2026-01-01"},
    }
    token = "azure-native:consumption:Budget"
    assert sdk_types.violations(token, budget) == []
    for path, value in [("amount", "100"), ("timeGrain", "Weekly"), ("timePeriod.start", "x"), ("currentSpend", 1)]:
        assert len(sdk_types.violations(token, corrupted(budget, path, value))) == 1, path
    assert "no resource type" in sdk_types.violations("azure-native:consumption:NoSuch", {})[0]
