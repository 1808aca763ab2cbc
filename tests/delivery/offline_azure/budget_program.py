"""Monitoring with a budget, as the platform makes it in the month that `today` is in."""

from __future__ import annotations

from datetime import datetime

import pulumi
from pulumi_azure_native import resources

from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs, first_of_month

config = pulumi.Config()
group = resources.ResourceGroup("group", resource_group_name="rg-budget", location="westeurope")
Monitoring(
    "monitoring",
    MonitoringArgs(
        workspace_name="log-budget",
        action_group_name="ag-budget",
        location="westeurope",
        resource_group_name=group.name,
        tags={},
        sender="team",
        emails=config.require("emails").split(","),
        budget=BudgetArgs(
            name="mlflow",
            scope=group.id,
            amount=config.require_float("amount"),
            start=first_of_month(datetime.fromisoformat(config.require("today"))),
        ),
    ),
)
