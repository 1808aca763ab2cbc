"""Workspace, alerts and budget: who is told of what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs
from components.mlflow.observability import kql as panel_queries
from components.mlflow.observability.alerts import DATABASE_ALERTS, QUERY_ALERTS, MetricRule, QueryRule, connections
from components.mlflow.observability.workbook import workbook_name
from tests.support.recorder import UNKNOWN, Graph, record

GROUP = "/subscriptions/s/resourceGroups/rg"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql"
BUDGET = BudgetArgs(name="budget-mlflow", scope=GROUP, amount=200, start="2026-01-01T00:00:00Z")
SCENARIOS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "max": {"emails": ["a@example.com", "b@example.com"], "retention_days": 730, "budget": BUDGET},
    "hardened": {"emails": ["oncall@example.com"], "retention_days": 365, "protect": True},
}


def graph(preview: bool, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        "workspace_name": "log-mlflow-dev",
        "action_group_name": "ag-mlflow-dev",
        "location": "westeurope",
        "resource_group_name": "rg",
        "tags": {"owner": "team"},
    }

    def program() -> None:
        monitoring = Monitoring("monitoring", MonitoringArgs(**(values | changes)))
        monitoring.watch_database(SERVER, max_connections=50)

    return record(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenarios(scenario: str, preview: bool) -> None:
    changes = SCENARIOS[scenario]
    recorded = graph(preview, **changes)
    workspace = recorded.inputs("monitoring-workspace")
    assert workspace["features"]["disableLocalAuth"] is True
    assert workspace["retentionInDays"] == changes.get("retention_days", 30)
    told = [receiver["emailAddress"] for receiver in recorded.inputs("monitoring-on-call").get("emailReceivers", [])]
    assert told == changes.get("emails", [])
    assert ("monitoring-budget" in recorded.names) == ("budget" in changes)
    protected = changes.get("protect", False)
    assert recorded.options("monitoring-workspace").protect is protected
    assert ("monitoring-lock" in recorded.names) == protected
    if protected:
        assert {"monitoring-workspace", "monitoring-logs"} <= recorded.dependencies("monitoring-lock")
    audit = recorded.inputs("monitoring-logs")
    assert (audit["logs"], audit["metrics"]) == ([{"category": "Audit", "enabled": True}], [])
    assert audit["resourceUri"] == audit["workspaceId"]
    assert "monitoring-workspace" in recorded.dependencies("monitoring-logs")


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
def test_every_alert_tells_the_people_on_call(preview: bool) -> None:
    recorded = graph(preview)
    rules: list[QueryRule | MetricRule] = [*QUERY_ALERTS, *panel_queries.alerts(), *DATABASE_ALERTS, connections(50)]
    for rule in rules:
        assert recorded.inputs(f"monitoring-{rule.name}")["severity"] == rule.severity
        assert "monitoring-on-call" in recorded.dependencies(f"monitoring-{rule.name}")
    assert len({rule.name for rule in rules}) == len(rules) == 12
    criteria = recorded.inputs("monitoring-database-connections")["criteria"]["allOf"]
    assert criteria[0]["threshold"] == 40


def test_the_workbook_is_the_workspaces_own_and_shared() -> None:
    recorded = graph(False)
    made = recorded.inputs("monitoring-workbook")
    workspace = recorded.inputs("monitoring-logs")["workspaceId"]
    assert made["resourceName"] == workbook_name(workspace)
    assert made["sourceId"] == workspace.lower() != workspace
    assert json.loads(made["serializedData"])["fallbackResourceIds"] == [workspace]
    assert json.loads(made["serializedData"])["version"] == made["version"]
    assert (made["kind"], made["category"], made["location"]) == ("shared", "workbook", "westeurope")
    assert made["displayName"].endswith("log-mlflow-dev")


def test_in_a_preview_the_workbook_waits_for_the_workspace() -> None:
    made = graph(True).inputs("monitoring-workbook")
    assert {made["resourceName"], made["sourceId"], made["serializedData"]} == {UNKNOWN}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"retention_days": 29}, "30 to 730"), ({"budget": BUDGET}, "a budget needs somebody to tell")],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph(False, **changes)


def test_a_budget_is_of_something() -> None:
    with pytest.raises(ValueError, match="above 0"):
        BudgetArgs(name="b", scope=GROUP, amount=0, start="2026-01-01T00:00:00Z")
