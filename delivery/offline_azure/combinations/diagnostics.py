"""Microsoft.Insights: diagnostic settings, with the categories of each type of resource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.addresses import arm_type
from delivery.offline_azure.combinations.rule import Problem

# Log categories, groups and metric categories by ARM type (Azure Monitor reference, "Supported log categories" and
# "Supported metrics", column "DS Export"). Types without a row are not checked.
_BOTH: Final = frozenset({"allLogs", "audit"})
_ALL: Final = frozenset({"allLogs"})
_METRICS: Final = frozenset({"AllMetrics"})
_OF_STORAGE: Final = frozenset({"Transaction", "Capacity", "AllMetrics"})
_NONE: Final[frozenset[str]] = frozenset()
_CATEGORIES: Final[Mapping[str, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    "microsoft.app/managedenvironments": (
        frozenset(
            (
                *("ContainerAppConsoleLogs", "ContainerAppSystemLogs", "AppEnvSpringAppConsoleLogs"),
                *("AppEnvSessionConsoleLogs", "AppEnvSessionPoolEventLogs", "AppEnvSessionLifeCycleLogs"),
            )
        ),
        _BOTH,
        _METRICS,
    ),
    "microsoft.containerregistry/registries": (
        frozenset({"ContainerRegistryLoginEvents", "ContainerRegistryRepositoryEvents"}),
        _BOTH,
        _METRICS,
    ),
    "microsoft.dbforpostgresql/flexibleservers": (
        frozenset(
            (
                *("PostgreSQLLogs", "PostgreSQLFlexSessions", "PostgreSQLFlexQueryStoreRuntime"),
                *("PostgreSQLFlexQueryStoreWaitStats", "PostgreSQLFlexTableStats", "PostgreSQLFlexDatabaseXacts"),
                "PostgreSQLFlexPGBouncer",
            )
        ),
        _BOTH,
        _METRICS,
    ),
    "microsoft.keyvault/vaults": (frozenset({"AuditEvent", "AzurePolicyEvaluationDetails"}), _BOTH, _METRICS),
    "microsoft.network/networksecuritygroups": (
        frozenset({"NetworkSecurityGroupEvent", "NetworkSecurityGroupRuleCounter"}),
        _ALL,
        _NONE,
    ),
    "microsoft.network/publicipaddresses": (
        frozenset({"DDoSProtectionNotifications", "DDoSMitigationFlowLogs", "DDoSMitigationReports"}),
        _BOTH,
        _METRICS,
    ),
    "microsoft.network/virtualnetworks": (frozenset({"VMProtectionAlerts"}), _ALL, _METRICS),
    "microsoft.operationalinsights/workspaces": (frozenset({"Audit", "SummaryLogs", "Jobs"}), _BOTH, _METRICS),
    "microsoft.storage/storageaccounts": (_NONE, _NONE, _OF_STORAGE),
    "microsoft.storage/storageaccounts/blobservices": (
        frozenset({"StorageRead", "StorageWrite", "StorageDelete"}),
        _BOTH,
        _OF_STORAGE,
    ),
}


def diagnostic_setting(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Diagnostic settings in Azure Monitor": categories of the target's type; groups or categories,
    not both; at least one of them, and somewhere to send it."""
    logs, metrics = inputs.get("logs") or [], inputs.get("metrics") or []
    groups = [log["categoryGroup"] for log in logs if log.get("categoryGroup")]
    categories = [log["category"] for log in logs if log.get("category")]
    if groups and categories:
        yield "BadRequest", "Category groups and categories of logs cannot be in one setting."
    if not (logs or metrics):
        yield "BadRequest", "At least one data sink and one category need to be specified."
    known = _CATEGORIES.get(arm_type(str(inputs.get("resourceUri"))).lower())
    if known is None:
        return
    for kind, given, allowed in (
        ("Category", categories, known[0]),
        ("Category group", groups, known[1]),
        ("Metric category", [metric.get("category") for metric in metrics], known[2]),
    ):
        for wrong in (one for one in given if one not in allowed):
            yield "BadRequest", f"{kind} '{wrong}' is not supported."
