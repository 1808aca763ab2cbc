"""The artifact store: what is sent to Azure, what is refused, what would replace it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pulumi
import pytest

from components.azure.artifact_store import ArtifactStore, ArtifactStoreArgs, Lifecycle, Redundancy
from tests.support.recorder import Graph, record, shared
from tests.support.replacements import needs_table, replacing

REPLACED_BY = {
    "storage:StorageAccount": {"accountName", "isHnsEnabled", "location", "resourceGroupName"},
    "storage:BlobContainer": {"accountName", "containerName", "resourceGroupName"},
}
PROTECTED = {"it-account", "it-container"}
SUBNET = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/apps"
TAGS = {"environment": "test"}
WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"

DEFAULTS: dict[str, Any] = {"protect": False}
MAX: dict[str, Any] = {
    "protect": True,
    "container_name": "models-and-more",
    "redundancy": Redundancy.GEO_ZONE,
    "lifecycle": Lifecycle(cool_after=30, cold_after=90, old_versions_after=30),
    "blob_soft_delete_days": 365,
    "container_soft_delete_days": 365,
    "public_origin": "https://mlflow.example.com",
    "subnet_ids": [SUBNET],
}
HARDENED: dict[str, Any] = {"protect": True, "redundancy": Redundancy.ZONE}
SCENARIOS = {"defaults": DEFAULTS, "max": MAX, "hardened": HARDENED}


def args(**given: Any) -> ArtifactStoreArgs:
    required = {
        "account_name": "stmlflowx7k2",
        "resource_group_name": "rg",
        "location": "westeurope",
        "tags": TAGS,
        "workspace_id": WORKSPACE,
        "protect": False,
    }
    return ArtifactStoreArgs(**{**required, **given})


@shared
def graph_of(given: dict[str, Any], *, preview: bool = False) -> Graph:
    return record(lambda: ArtifactStore("it", args(**given)), preview=preview)


def rules_of(graph: Graph) -> dict[str, Any]:
    return {rule["name"]: rule["definition"] for rule in graph.inputs("it-lifecycle")["policy"]["rules"]}


both = pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
scenarios = pytest.mark.parametrize("given", SCENARIOS.values(), ids=SCENARIOS.keys())


@both
@scenarios
def test_only_identities_over_encrypted_connections_reach_blobs(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    account = graph.inputs("it-account")
    off = (
        "allowSharedKeyAccess",
        "allowBlobPublicAccess",
        "allowCrossTenantReplication",
        "isLocalUserEnabled",
        "isSftpEnabled",
        "isHnsEnabled",
    )
    assert {name: account[name] for name in off} == dict.fromkeys(off, False)
    assert account["minimumTlsVersion"] == "TLS1_2"
    assert account["enableHttpsTrafficOnly"] is True
    assert account["encryption"]["requireInfrastructureEncryption"] is True
    assert account["networkRuleSet"]["defaultAction"] == "Deny"
    assert graph.inputs("it-container")["publicAccess"] == "None"


@both
@scenarios
def test_what_is_overwritten_or_deleted_can_be_brought_back(given: dict[str, Any], preview: bool) -> None:
    service = graph_of(given, preview=preview).inputs("it-blob-service")
    assert service["isVersioningEnabled"] is True
    assert service["deleteRetentionPolicy"]["enabled"] is True
    assert service["deleteRetentionPolicy"]["days"] == given.get("blob_soft_delete_days", 14)
    assert service["containerDeleteRetentionPolicy"] == {
        "enabled": True,
        "days": given.get("container_soft_delete_days", 14),
    }


@both
@scenarios
def test_nothing_is_written_before_it_can_be_brought_back(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    assert {"it-account", "it-blob-service"} <= graph.dependencies("it-container")


@both
def test_protected_means_protected_and_locked(preview: bool) -> None:
    graph = graph_of(HARDENED, preview=preview)
    assert {name for name in graph.names if graph.options(name).protect} == PROTECTED
    assert graph.inputs("it-lock")["level"] == "CanNotDelete"
    settings = set(graph.of_type("azure-native:monitor:DiagnosticSetting"))
    assert {"it-account", "it-container", "it-lifecycle", *settings} <= graph.dependencies("it-lock")


@both
@scenarios
def test_the_account_sends_its_metrics_and_the_blob_service_its_logs(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    metrics, logs = graph.inputs("it-metrics"), graph.inputs("it-logs")
    assert {metrics["workspaceId"], logs["workspaceId"]} == {WORKSPACE}
    assert (metrics["logs"], metrics["metrics"]) == ([], [{"category": "Transaction", "enabled": True}])
    assert (logs["logs"], logs["metrics"]) == ([{"categoryGroup": "allLogs", "enabled": True}], [])
    assert "it-account" in graph.dependencies("it-metrics")
    assert "it-blob-service" in graph.dependencies("it-logs")


def test_a_throwaway_store_has_neither() -> None:
    graph = graph_of(DEFAULTS)
    assert "it-lock" not in graph.names
    assert not [name for name in graph.names if graph.options(name).protect]


def test_the_container_is_given_as_services_take_it() -> None:
    outputs = graph_of(DEFAULTS).outputs("it")
    assert outputs["container_url"] == "https://stmlflowx7k2.blob.core.windows.net/artifacts"
    assert outputs["container_id"].endswith("it-container")


@pytest.mark.parametrize(
    ("redundancy", "sku"),
    [
        (Redundancy.LOCAL, "Standard_LRS"),
        (Redundancy.ZONE, "Standard_ZRS"),
        (Redundancy.GEO_ZONE, "Standard_GZRS"),
    ],
)
def test_copies(redundancy: Redundancy, sku: str) -> None:
    assert graph_of({"redundancy": redundancy}).inputs("it-account")["sku"] == {"name": sku}


def test_it_is_reached_by_private_endpoints_or_by_the_named_subnets() -> None:
    assert graph_of(HARDENED).inputs("it-account")["publicNetworkAccess"] == "Disabled"
    opened = graph_of(MAX).inputs("it-account")
    assert opened["publicNetworkAccess"] == "Enabled"
    assert [rule["virtualNetworkResourceId"] for rule in opened["networkRuleSet"]["virtualNetworkRules"]] == [SUBNET]


@both
def test_an_origin_may_be_known_later(preview: bool) -> None:
    def program() -> None:
        ArtifactStore("it", args(public_origin=pulumi.Output.from_input("https://mlflow.example.com")))

    (rule,) = record(program, preview=preview).inputs("it-blob-service")["cors"]["corsRules"]
    assert rule["allowedOrigins"] == ["https://mlflow.example.com"]


def test_pages_of_the_public_origin_read_and_no_others() -> None:
    assert graph_of(DEFAULTS).inputs("it-blob-service")["cors"] == {"corsRules": []}
    (rule,) = graph_of(MAX).inputs("it-blob-service")["cors"]["corsRules"]
    assert rule["allowedOrigins"] == ["https://mlflow.example.com"]
    assert set(rule["allowedMethods"]) == {"GET", "HEAD", "OPTIONS"}


def test_age_moves_artifacts_to_cheaper_tiers_and_deletes_old_versions_only() -> None:
    rules = rules_of(graph_of(MAX))
    assert rules["tiers-by-age"]["actions"] == {
        "baseBlob": {
            "tierToCool": {"daysAfterModificationGreaterThan": 30},
            "tierToCold": {"daysAfterModificationGreaterThan": 90},
        }
    }
    gone = {"delete": {"daysAfterCreationGreaterThan": 30}}
    assert rules["old-versions"]["actions"] == {"version": gone, "snapshot": gone}
    assert {tuple(rule["filters"]["prefixMatch"]) for rule in rules.values()} == {("models-and-more/",)}


def test_without_tiers_there_is_no_empty_rule() -> None:
    assert set(rules_of(graph_of({"lifecycle": Lifecycle(cool_after=None, cold_after=None)}))) == {"old-versions"}
    only_cold = rules_of(graph_of({"lifecycle": Lifecycle(cool_after=None)}))
    assert set(only_cold["tiers-by-age"]["actions"]["baseBlob"]) == {"tierToCold"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"account_name": "st-mlflow"}, "account_name: 'st-mlflow'; .*3 to 24 lower-case"),
        ({"account_name": "ab"}, "3 to 24"),
        ({"container_name": "Artifacts"}, "container_name: 'Artifacts'; .*3 to 63"),
        ({"container_name": "a--b"}, "single hyphens"),
        ({"blob_soft_delete_days": 0}, "blob_soft_delete_days: 0; .*1 to 365"),
        ({"container_soft_delete_days": 366}, "container_soft_delete_days: 366; .*1 to 365"),
        ({"public_origin": "*"}, "one https origin"),
        ({"public_origin": "http://mlflow.example.com"}, "one https origin"),
        ({"public_origin": "https://mlflow.example.com/"}, "without path"),
    ],
)
def test_it_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        args(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cool_after": 0}, "cool_after: 0 days; at least 1"),
        ({"cold_after": -1}, "cold_after: -1 days; at least 1"),
        ({"old_versions_after": 0}, "old_versions_after: 0 days; at least 1"),
        ({"cool_after": 90, "cold_after": 90}, "cold_after: 90 days is not after cool_after, 90"),
    ],
)
def test_a_lifecycle_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lifecycle(**given)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)account_name.*public_origin"):
        args(account_name="", public_origin="")


@needs_table
@pytest.mark.parametrize("resource", REPLACED_BY)
def test_what_replaces_it_is_known(resource: str) -> None:
    assert replacing(resource) == REPLACED_BY[resource]


@both
@scenarios
def test_a_signed_url_that_is_valid_for_long_is_logged(given: dict[str, Any], preview: bool) -> None:
    policy = graph_of(given, preview=preview).inputs("it-account")["sasPolicy"]
    assert policy == {"sasExpirationPeriod": "00.02:00:00", "expirationAction": "Log"}


@both
@scenarios
def test_what_is_made_in_the_account_waits_for_each_other(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    parts = [
        "it-account",
        "it-blob-service",
        "it-container",
        "it-lifecycle",
        *(["it-lock"] if given["protect"] else []),
    ]
    for earlier, later in pairwise(parts):
        assert earlier in graph.dependencies(later)
