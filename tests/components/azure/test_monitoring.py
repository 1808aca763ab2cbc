"""Workspace, alerts and budget: who receives what."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from components.azure.alert_rule import MetricRule, QueryRule
from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs, first_of_month
from components.azure.workbook import WorkbookContent
from tests.support.recorder import UNKNOWN, Graph, record, shared

GROUP = "/subscriptions/s/resourceGroups/rg"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql"
BUDGET = BudgetArgs(name="budget-mlflow", scope=GROUP, amount=200, start="2026-01-01T00:00:00Z")
QUERY_RULE = QueryRule(name="errors", title="Errors", severity=1, lines="Logs", fires="count", what_to_do="Look.")
METRIC_RULE = MetricRule(
    name="disk-full",
    title="The disk is full",
    severity=2,
    metric="storage_percent",
    threshold=85,
    what_to_do="Grow it.",
)
WORKBOOK = WorkbookContent(
    title="On call",
    description="What to look at.",
    version="Notebook/1.0",
    name_of=lambda workspace: f"of {workspace}",
    document_of=lambda workspace: json.dumps({"shows": workspace}),
)
SCENARIOS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "max": {"emails": ["a@example.com", "b@example.com"], "retention_days": 730, "budget": BUDGET},
    "hardened": {"emails": ["oncall@example.com"], "retention_days": 365, "protect": True},
}


@shared
def graph(preview: bool, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        "workspace_name": "log-mlflow-dev",
        "action_group_name": "ag-mlflow-dev",
        "location": "westeurope",
        "resource_group_name": "rg",
        "tags": {"owner": "team"},
        "sender": "team",
        "query_rules": [QUERY_RULE],
        "workbook": WORKBOOK,
    }

    def program() -> None:
        monitoring = Monitoring("monitoring", MonitoringArgs(**(values | changes)))
        monitoring.watch(SERVER, [METRIC_RULE])

    return record(program, preview=preview)


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenarios(scenario: str, preview: bool) -> None:
    changes = SCENARIOS[scenario]
    recorded = graph(preview, **changes)
    workspace = recorded.inputs("monitoring-workspace")
    assert workspace["features"]["disableLocalAuth"] is True
    assert workspace["retentionInDays"] == changes.get("retention_days", 30)
    reported = [
        receiver["emailAddress"] for receiver in recorded.inputs("monitoring-on-call").get("emailReceivers", [])
    ]
    assert reported == changes.get("emails", [])
    budgets = recorded.of_type("azure-native:consumption:Budget")
    assert budgets == (["monitoring-budget-200"] if "budget" in changes else [])
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
    asked, watched = recorded.inputs("monitoring-errors"), recorded.inputs("monitoring-disk-full")
    for name in ("monitoring-errors", "monitoring-disk-full"):
        assert "monitoring-on-call" in recorded.dependencies(name)
    assert (asked["severity"], asked["displayName"], asked["description"]) == (1, "Errors", "Look.")
    assert asked["criteria"]["allOf"][0]["query"] == "Logs | count"
    assert (watched["severity"], watched["description"]) == (2, "The disk is full. Grow it.")
    assert watched["scopes"] == [SERVER]
    assert watched["criteria"]["allOf"][0]["threshold"] == 85
    assert recorded.inputs("monitoring-on-call")["groupShortName"] == "team"


def test_without_rules_and_workbook_there_are_none() -> None:
    recorded = graph(False, query_rules=(), workbook=None)
    assert not {"monitoring-errors", "monitoring-workbook"} & set(recorded.names)


def test_the_workbook_is_the_workspaces_own_and_shared() -> None:
    recorded = graph(False)
    made = recorded.inputs("monitoring-workbook")
    workspace = recorded.inputs("monitoring-logs")["workspaceId"]
    assert made["resourceName"] == f"of {workspace}"
    assert made["sourceId"] == workspace.lower() != workspace
    assert json.loads(made["serializedData"]) == {"shows": workspace}
    assert (made["version"], made["kind"], made["category"]) == ("Notebook/1.0", "shared", "workbook")
    assert (made["displayName"], made["location"]) == ("On call, log-mlflow-dev", "westeurope")


def test_in_a_preview_the_workbook_waits_for_the_workspace() -> None:
    made = graph(True).inputs("monitoring-workbook")
    assert {made["resourceName"], made["sourceId"], made["serializedData"]} == {UNKNOWN}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sender": ""}, "sender: got ''; expected 1 to 12 characters"),
        ({"sender": "a" * 13}, "expected 1 to 12 characters"),
        ({"retention_days": 29}, "30 to 730"),
        ({"budget": BUDGET}, "a budget needs somebody to tell"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph(False, **changes)


@pytest.mark.parametrize(("amount", "name"), [(200, "200"), (1_000_000, "1000000"), (99.5, "99_5")])
def test_another_amount_is_another_budget(amount: float, name: str) -> None:
    changed = replace(BUDGET, amount=amount)
    recorded = graph(False, emails=["a@example.com"], budget=changed)
    (found,) = recorded.of_type("azure-native:consumption:Budget")
    assert (found, recorded.inputs(found)["budgetName"]) == (f"monitoring-budget-{name}", f"budget-mlflow-{name}")
    # What is never the same twice, and what Azure does not let anybody change.
    assert set(recorded.options(found).ignore_changes) == {"timePeriod", "eTag"}
    for notification in recorded.inputs(found)["notifications"].values():
        assert (notification["contactEmails"], len(notification["contactGroups"])) == ([], 1)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        (datetime(2026, 11, 29, 23, 59, tzinfo=UTC), "2026-11-01T00:00:00Z"),
        (datetime(2027, 1, 1, tzinfo=UTC), "2027-01-01T00:00:00Z"),
    ],
)
def test_a_budget_starts_with_the_month(now: datetime, start: str) -> None:
    assert first_of_month(now) == start
    assert BudgetArgs(name="b", scope=GROUP, amount=1).start.endswith("-01T00:00:00Z")


def test_a_budget_is_of_something() -> None:
    with pytest.raises(ValueError, match="above 0"):
        BudgetArgs(name="b", scope=GROUP, amount=0, start="2026-01-01T00:00:00Z")
