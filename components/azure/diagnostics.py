"""Where a resource's logs and metrics go: one diagnostic setting, to a Log Analytics workspace."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import monitor

# The category groups that Azure offers for every log category of a resource and for its audit ones.
ALL_LOGS = "allLogs"
AUDIT = "audit"
ALL_METRICS = "AllMetrics"

# Resource-specific tables rather than the one AzureDiagnostics table, which has a limit of columns. Azure ignores it
# for resource types that write to tables of their own only.
_DEDICATED = "Dedicated"


def send(
    name: str,
    *,
    target_id: pulumi.Input[str],
    workspace_id: pulumi.Input[str],
    parent: pulumi.Resource,
    category_groups: Sequence[str] = (ALL_LOGS,),
    categories: Sequence[str] = (),
    metrics: Sequence[str] = (ALL_METRICS,),
) -> monitor.DiagnosticSetting:
    """Send a resource's logs and metrics to a workspace.

    `category_groups` and `categories` decide on logs: Azure takes groups or single categories in a setting, never
    both, so categories are given with `category_groups=()`. `metrics` are categories; most types know `AllMetrics`
    alone. Groups and categories that the type of the target lacks are refused by Azure, such as any log of a storage
    account itself: its blob service has them (`{account_id}/blobServices/default`). The setting bears the name `name`.
    Raises ValueError.

        diagnostics.send("vault-logs", target_id=vault.id, workspace_id=workspace.id, parent=self)

    Sources: Microsoft Learn, "Diagnostic settings in Azure Monitor"; what a type has is in its pages "Supported logs"
    and "Supported metrics" (column "DS Export") of the Azure Monitor reference.
    """
    if category_groups and categories:
        raise ValueError(
            f"{name}: category_groups {list(category_groups)} and categories {list(categories)} exclude each other; "
            "give categories with category_groups=()."
        )
    if not (category_groups or categories or metrics):
        raise ValueError(f"{name}: a setting that sends nothing; name category_groups, categories or metrics.")
    logs = [monitor.DiagnosticsLogSettingsArgs(category_group=group, enabled=True) for group in category_groups]
    logs += [monitor.DiagnosticsLogSettingsArgs(category=category, enabled=True) for category in categories]
    return monitor.DiagnosticSetting(
        name,
        name=name,
        resource_uri=target_id,
        workspace_id=workspace_id,
        log_analytics_destination_type=_DEDICATED,
        logs=logs,
        metrics=[monitor.DiagnosticsMetricSettingsArgs(category=category, enabled=True) for category in metrics],
        opts=pulumi.ResourceOptions(
            parent=parent,
            # Azure leaves it out of its answers for many types (azure-rest-api-specs issue 22400): no drift is meant.
            ignore_changes=["logAnalyticsDestinationType"],
        ),
    )
