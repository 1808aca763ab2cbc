"""Workspace, alerts and budget: who is told of what."""

from __future__ import annotations

from typing import Any

import pytest

from components.azure.alert_rules import DATABASE_ALERTS, QUERY_ALERTS, connections
from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs
from tests.azure import arm
from tests.azure.recorder import Graph, record

GROUP = "/subscriptions/s/resourceGroups/rg"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql"
BUDGET = BudgetArgs(name="budget-mlflow", scope=GROUP, amount=200, start="2026-01-01T00:00:00Z")
SCENARIOS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "max": {"emails": ["a@example.com", "b@example.com"], "retention_days": 730, "budget": BUDGET},
    "hardened": {"emails": ["oncall@example.com"], "retention_days": 365},
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
    assert set(recorded.outputs("monitoring")) == {"workspace_id", "action_group_id"}
    assert all(recorded.options(name).parent == "monitoring" for name in recorded.names if name != "monitoring")


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
def test_every_alert_tells_the_people_on_call(preview: bool) -> None:
    recorded = graph(preview)
    rules = (*QUERY_ALERTS, *DATABASE_ALERTS, connections(50))
    for rule in rules:
        assert recorded.inputs(f"monitoring-{rule.name}")["severity"] == rule.severity
        assert "monitoring-on-call" in recorded.dependencies(f"monitoring-{rule.name}")
    assert len({rule.name for rule in rules}) == len(rules) == 7
    criteria = recorded.inputs("monitoring-database-connections")["criteria"]["allOf"]
    assert criteria[0]["threshold"] == 40


@arm.needs_schemas
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_azure_takes_every_body(scenario: str) -> None:
    recorded = graph(False, **SCENARIOS[scenario])
    for name in recorded.names:
        # The schemas' table does not know budgets.
        if recorded.is_custom(name) and name != "monitoring-budget":
            assert arm.violations(recorded.type(name), recorded.inputs(name)) == [], name


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
