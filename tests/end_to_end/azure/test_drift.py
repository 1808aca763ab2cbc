"""Drift of a whole stack: what somebody changed on Azure, what Azure writes itself, and both ways out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from components.azure.arm import Arm
from delivery.apply import record
from delivery.drift.activity import API_VERSION, with_callers
from delivery.drift.check import check
from delivery.drift.command import bring_back
from delivery.drift.lines import Drift, Line
from delivery.drift.ways_out import ways_out
from delivery.offline_azure.cloud import SOMEBODY as BY_HAND
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.rest import BEARER
from delivery.offline_azure.running import must
from delivery.outcome import CommandError, ExitCode
from delivery.pulumi.engine import Engine
from tests.end_to_end.azure.living import Cloud
from tests.support.arm import needs_schemas

pytestmark = [needs_schemas, pytest.mark.timeout(1200)]
STACK = "staging"
OPEN_TO_ANYBODY = {
    "name": "temp-debug",
    "access": "Allow",
    "direction": "Inbound",
    "priority": 4000,
    "protocol": "Tcp",
    "sourceAddressPrefix": "*",
    "sourcePortRange": "*",
    "destinationAddressPrefix": "*",
    "destinationPortRange": "443",
}

# By the end of an ID: what somebody gives the resource on Azure, and by its name in the program the paths that differ.
SOMEBODY: Mapping[str, tuple[Mapping[str, Any], str, frozenset[str]]] = {
    "managedenvironments/cae-mlflow-staging": (
        {"peerTrafficConfiguration": {"encryption": {"enabled": False}}},
        "apps-environment",
        frozenset({"peerTrafficConfiguration.encryption.enabled"}),
    ),
    "containerapps/mlflow-artifacts": (
        {"template": {"scale": {"minReplicas": 1}}},
        "artifacts",
        frozenset({"template.scale.minReplicas"}),
    ),
    "containerapps/mlflow-gateway": (
        {"template": {"scale": {"maxReplicas": 6}}},
        "gateway",
        frozenset({"template.scale.maxReplicas"}),
    ),
    "containerapps/mlflow-tracking": (
        {"template": {"scale": {"maxReplicas": 90}}},
        "tracking",
        frozenset({"template.scale.maxReplicas"}),
    ),
    "containerapps/mlflow-registry": (
        {"tags": {"owner": "me"}, "template": {"scale": {"pollingInterval": 5}}},
        "registry",
        frozenset({"tags.owner", "template.scale.pollingInterval"}),
    ),
    "resourcegroups/rg-mlflow-staging": ({"tags": {"policy": "it"}}, "group", frozenset({"tags.policy"})),
    "registries/crmlflowstagingg0dmk": (
        {"publicNetworkAccess": "Enabled", "adminUserEnabled": True},
        "images-registry",
        frozenset({"publicNetworkAccess", "adminUserEnabled"}),
    ),
    "scheduledqueryrules/log-mlflow-staging-overload": (
        {"enabled": False},
        "monitoring-overload",
        frozenset({"enabled"}),
    ),
    "workspaces/log-mlflow-staging": (
        {"retentionInDays": 60},
        "monitoring-workspace",
        frozenset({"retentionInDays"}),
    ),
    "configurations/tcp_keepalives_idle": (
        {"value": "600"},
        "postgres-parameter-tcp-keepalives-idle",
        frozenset({"value"}),
    ),
    "flexibleservers/psql-mlflow-staging-g0dmk": (
        {"sku": {"name": "Standard_D4ds_v5"}, "backup": {"backupRetentionDays": 21}},
        "postgres-server",
        frozenset({"sku.name", "backup.backupRetentionDays"}),
    ),
    "storageaccounts/stmlflowstagingg0dmk": (
        {
            "publicNetworkAccess": "Enabled",
            "networkRuleSet": {"defaultAction": "Allow"},
            "allowSharedKeyAccess": True,
            "allowBlobPublicAccess": True,
            "minimumTlsVersion": "TLS1_0",
        },
        "store-account",
        frozenset(
            {
                "publicNetworkAccess",
                "networkRuleSet.defaultAction",
                "allowSharedKeyAccess",
                "allowBlobPublicAccess",
                "minimumTlsVersion",
            }
        ),
    ),
    "blobservices/default": (
        {"deleteRetentionPolicy": {"days": 5}, "isVersioningEnabled": False},
        "store-blob-service",
        frozenset({"deleteRetentionPolicy.days", "isVersioningEnabled"}),
    ),
    "vaults/kv-mlflow-staging-g0dmk": (
        {"properties": {"publicNetworkAccess": "Enabled", "networkAcls": {"defaultAction": "Allow"}}},
        "vault-vault",
        frozenset({"properties.publicNetworkAccess", "properties.networkAcls.defaultAction"}),
    ),
}
BLOCKING = {
    "apps-environment",
    "images-registry",
    "monitoring-overload",
    "network-container-apps-rules",
    "store-account",
    "store-blob-service",
    "store-lock",
    "vault-vault",
}
# What Azure writes by itself, each as its documents say: after a failover and while the disk grows, into what points at
# a resource, and as tags of its own services.
AZURE_ITSELF: Mapping[str, Mapping[str, Any]] = {
    "flexibleservers/psql-mlflow-staging-g0dmk": {
        "availabilityZone": "3",
        "highAvailability": {"standbyAvailabilityZone": "1"},
        "network": {"publicNetworkAccess": "Disabled"},
        "storage": {"storageSizeGB": 1024, "tier": "P30", "iops": 5000},
    },
    "publicipaddresses/vnet-mlflow-staging-outbound": {"natGateway": {"id": "/subscriptions/0/nat"}},
    "diagnosticsettings/postgres-logs": {"logAnalyticsDestinationType": "AzureDiagnostics"},
    "storageaccounts/stmlflowstagingg0dmk": {"tags": {"hidden-link:by-azure": "Resource"}},
    "registries/crmlflowstagingg0dmk": {"tags": {"ms-resource-usage": "azure-cloud-shell"}},
}


def written(values: Mapping[str, Any]) -> int:
    """How many values there are."""
    return sum(written(value) if isinstance(value, Mapping) else 1 for value in values.values())


def identifier(azure: Azure, end: str) -> str:
    (found,) = [key for key in azure.resources if key.endswith(f"/{end}")]
    return found


def engine_of(product: Product) -> Engine:
    options = ("--stack", product.stack, "--config-file", str(product.config_file))
    return Engine(folder=product.repository, environment=product.environment, options=options)


def client(product: Product) -> Arm:
    return Arm(api_version=API_VERSION, endpoint=product.environment["ARM_ENDPOINT"], token=lambda _: BEARER)


def line(drift: Drift, name: str) -> Line:
    (found,) = [one for one in drift.lines if one.step.name == name]
    return found


def names(drift: Drift) -> set[str]:
    return {one.step.name for one in drift.lines}


def test_what_differs_is_found_and_each_line_has_both_ways_out(living: Callable[[str], Cloud]) -> None:
    cloud = living(STACK)
    product, azure = cloud.stack(STACK), cloud.azure
    engine = engine_of(product)
    untouched = check(engine, STACK)
    assert (untouched.lines, untouched.passed) == ([], [])

    for end, values in AZURE_ITSELF.items():
        azure.change(identifier(azure, end), **values)
    silent = check(engine, STACK)
    assert not silent.lines
    assert sum(map(written, AZURE_ITSELF.values())) == 10
    # The program leaves the others to Azure, so that the engine passes over them.
    assert {one.path for one in silent.passed} == {"tags.hidden-link:by-azure", "tags.ms-resource-usage"}

    for end, (given, _, _) in SOMEBODY.items():
        azure.change(identifier(azure, end), by=f"{end.partition('/')[0]}@example.com", **given)
    rules = identifier(azure, "networksecuritygroups/vnet-mlflow-staging-container-apps")
    azure.change(rules, securityRules=[*azure.resources[rules]["inputs"]["securityRules"], OPEN_TO_ANYBODY])
    account = identifier(azure, "storageaccounts/stmlflowstagingg0dmk")
    azure.remove(f"{account}/providers/microsoft.authorization/locks/do-not-delete", by="mallory@example.com")
    before = azure.calls()
    found = check(engine, STACK)
    differ = {one.step.name: frozenset(difference.path for difference in one.differences) for one in found.lines}
    assert differ == {
        **{name: paths for _, name, paths in SOMEBODY.values()},
        "network-container-apps-rules": {"securityRules[temp-debug]"},
        "store-lock": frozenset(),
    }
    assert sum(max(1, len(paths)) for paths in differ.values()) == 25
    assert {one.step.name for one in found.lines if one.blocks} == BLOCKING
    assert line(found, "store-lock").gone
    named = with_callers(found, client(product))
    callers = {end.partition("/")[0] for end in SOMEBODY} | {"mallory"}
    assert {one.last.caller for one in named.lines if one.last} == {*(f"{who}@example.com" for who in callers), BY_HAND}
    deleted = line(named, "store-lock").last
    assert deleted is not None
    assert (deleted.caller, deleted.operation) == ("mallory@example.com", "Microsoft.Authorization/locks/delete")
    (rule,) = line(found, "network-container-apps-rules").dangers
    assert rule == "opens the network to the internet"
    # Looking changes nothing.
    assert {call["operation"] for call in azure.calls()[len(before) :]} <= {"read"}

    values = product.values
    keeps = {line.step.name: out.keep for line, out in zip(found.lines, ways_out(found, values), strict=True)}
    kept = keeps["gateway"]
    assert kept is not None
    assert not kept.refused
    refused = keeps["tracking"]
    assert refused is not None
    assert [one.field for one in refused.refused] == ["limits.databasePool"]
    assert keeps["store-account"] is None

    # To keep: each command's value, by the program, makes what is on Azure.
    for name in ("gateway", "artifacts", "monitoring-workspace", "postgres-server"):
        keep = keeps[name]
        assert keep is not None, name
        assert not keep.refused, keep
        for command in keep.commands:
            program, *arguments = shlex.split(command)
            assert (program, arguments[:3]) == ("pulumi", ["config", "set", "--path"])
            must(product.run("config", *arguments[1:-2]))

    # To revert: these and no others.
    reverted = ["store-account", "store-lock", "network-container-apps-rules"]
    with pytest.raises(CommandError, match="'vault' of staging does not differ on Azure; expected one of: "):
        bring_back(engine, STACK, ["vault"], confirmed=True)
    assert bring_back(engine, STACK, reverted, reason="opened by hand", confirmed=True) == ExitCode.DONE
    noted = record.parse(json.loads(must(product.run("stack", "history", "--json")).out)[0]["message"])
    assert noted is not None
    assert (noted.reverted, noted.reason) == (", ".join(reverted), "opened by hand")
    assert names(check(engine, STACK)) == differ.keys() - set(reverted)

    # What was to be kept needs no update any more; the rest goes back by the next one.
    must(product.up("--refresh"))
    after = {end: azure.resources[identifier(azure, end)]["inputs"] for end in SOMEBODY}
    assert after["containerapps/mlflow-gateway"]["template"]["scale"]["maxReplicas"] == 6
    assert after["flexibleservers/psql-mlflow-staging-g0dmk"]["backup"]["backupRetentionDays"] == 21
    assert after["vaults/kv-mlflow-staging-g0dmk"]["properties"]["publicNetworkAccess"] == "Disabled"
    assert check(engine, STACK).lines == []
