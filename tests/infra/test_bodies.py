"""Every body that a stack sends is one that Azure takes, and one wrong property in any of them is noticed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from delivery.offline_azure import sdk_types, values
from tests.support import arm
from tests.support.recorder import Graph
from tests.support.stacks import STACKS, graph

WITHOUT_SCHEMA = {
    # Checked by the SDK's own types alone: nothing stricter is published for them beside this checkout.
    "azure-native:applicationinsights:Workbook",
    "azure-native:consumption:Budget",
    "azure-native:privatedns:PrivateRecordSet",
}
MISSING = object()
READ_ONLY_OR_UNKNOWN, WRONG_TYPE, WRONG_VALUE, LEFT_OUT = "x", 7.5, "nonsense!", MISSING

CORRUPTIONS: tuple[tuple[str, str, Any], ...] = (
    ("group", "locatoin", READ_ONLY_OR_UNKNOWN),
    ("group", "tags.owner", ["a", "list"]),
    ("monitoring-workspace", "sku.name", WRONG_VALUE),
    ("monitoring-workspace", "retentionInDays", "ninety"),
    ("monitoring-workspace", "customerId", READ_ONLY_OR_UNKNOWN),
    ("monitoring-on-call", "groupShortName", "much longer than twelve characters"),
    ("monitoring-on-call", "emailReceivers.0.emailAddress", LEFT_OUT),
    ("monitoring-gateway-errors", "criteria.allOf.0.operator", "gt"),
    ("monitoring-database-storage", "severity", "high"),
    ("network-vnet", "addressSpace.addressPrefix", "10.0.0.0/24"),
    ("network-postgres", "delegations.0.serviceNames", READ_ONLY_OR_UNKNOWN),
    ("network-private-endpoints", "privateEndpointNetworkPolicies", WRONG_VALUE),
    ("network-postgres-rules", "securityRules.0.direction", "Inward"),
    ("network-postgres-rules", "securityRules.0.priority", "first"),
    ("network-postgres-rules", "securityRules.0.access", LEFT_OUT),
    ("network-outbound-address", "sku.name", "Premium"),
    ("network-outbound-address", "publicIPAllocationMethod", "Fixed"),
    ("network-nat", "publicIpAdresses", [{"id": "/x"}]),
    ("network-blob-zone-link", "registrationEnabled", "no"),
    ("identity-deploy-github-prod-20788df0", "issuer", LEFT_OUT),
    ("identity-deploy-github-prod-20788df0", "audience", ["api://AzureADTokenExchange"]),
    ("identity-tracking-images", "principalType", "Robot"),
    ("identity-tracking-images", "roleDefinitionId", LEFT_OUT),
    ("images-registry", "sku.name", "Gold"),
    ("images-registry", "adminUserEnabled", "never"),
    ("images-registry", "policies.retentionPolicy.status", "on"),
    ("images-registry", "loginServer", READ_ONLY_OR_UNKNOWN),
    ("store-account", "minimumTlsVersion", "TLS1_9"),
    ("store-account", "allowSharedKeyAcess", False),
    ("store-account", "sku.name", "Standard_XRS"),
    ("store-account", "networkRuleSet.defaultAction", "Refuse"),
    ("store-account", "encryption.keySource", "Mine"),
    ("store-blob-service", "deleteRetentionPolicy.days", 0),
    ("store-container", "publicAccess", "Everybody"),
    ("store-lifecycle", "policy.rules.1.definition.actions.baseBlob.tierToCooler", {}),
    ("vault-vault", "properties.sku.family", "B"),
    ("vault-vault", "properties.tenantId", "not a guid"),
    ("vault-vault", "properties.enableSoftDeletion", True),
    ("vault-lock", "level", "DoNotTouch"),
    ("postgres-server", "version", "eighteen"),
    ("postgres-server", "sku.tier", "Free"),
    ("postgres-server", "backup.geoRedundantBackup", True),
    ("postgres-server", "authConfig.passwordAuthentication", "Disabled"),
    ("postgres-server", "highAvailability.mode", "Always"),
    ("postgres-server", "fullyQualifiedDomainName", READ_ONLY_OR_UNKNOWN),
    ("postgres-administrator", "principalType", "Machine"),
    ("apps-environment", "vnetConfiguration.internal", "yes"),
    ("apps-environment", "workloadProfiles.0.workloadProfileType", LEFT_OUT),
    ("apps-environment", "defaultDomain", READ_ONLY_OR_UNKNOWN),
    ("prepare-job", "configuration.triggerType", "Cron"),
    ("prepare-job", "configuration.replicaTimeout", LEFT_OUT),
    ("tracking", "template.scale.minReplica", 1),
    ("tracking", "template.containers.0.probes.0.type", "Alive"),
    ("tracking", "configuration.activeRevisionsMode", "Double"),
    ("tracking", "configuration.ingress.targetPort", "http"),
    ("gateway", "configuration.ingress.transport", "http3"),
    ("artifacts", "template.volumes.0.storageType", "Floppy"),
    ("endpoint-blob-endpoint", "privateLinkServiceConnections.0.groupId", "blob"),
)


def faults(recorded: Graph, name: str) -> list[str]:
    """What Azure would refuse of a recorded resource."""
    return arm.faults(recorded.type(name), values.known(recorded.inputs(name)))


def corrupted(inputs: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one property changed, added or left out. The path's parents must be there."""
    result = copy.deepcopy(inputs)
    *parents, last = path.split(".")
    at: Any = result
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if value is MISSING:
        del at[last]
    else:
        at[last] = value
    return result


@arm.needs_schemas
@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("stack", STACKS)
def test_azure_takes_every_body(stack: str, preview: bool) -> None:
    recorded = graph(stack, preview=preview)
    names = [name for name in recorded.names if recorded.type(name).startswith("azure-native:")]
    assert {recorded.type(name) for name in names if not arm.has_schema(recorded.type(name))} <= WITHOUT_SCHEMA
    assert {name: found for name in names if (found := faults(recorded, name))} == {}


@arm.needs_schemas
@pytest.mark.parametrize(
    ("name", "path", "value"), CORRUPTIONS, ids=[f"{name}:{path}" for name, path, _ in CORRUPTIONS]
)
def test_one_wrong_property_is_noticed(name: str, path: str, value: Any) -> None:
    recorded = graph("prod")
    assert faults(recorded, name) == []
    assert arm.faults(recorded.type(name), corrupted(recorded.inputs(name), path, value)) != []


def test_types_without_a_schema_are_held_to_the_sdks_types() -> None:
    recorded = graph("prod")
    for token in WITHOUT_SCHEMA:
        for name in recorded.of_type(token):
            inputs = recorded.inputs(name)
            assert sdk_types.violations(token, inputs) == []
            assert sdk_types.violations(token, {**inputs, "nonsense": 1}) != []
