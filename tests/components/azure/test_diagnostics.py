"""Diagnostic settings: what they send, and what they refuse to be."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.azure import diagnostics
from tests.support import arm
from tests.support.recorder import Graph, record

GROUP = "/subscriptions/s/resourceGroups/rg/providers"


class Parent(pulumi.ComponentResource):
    def __init__(self, **changes: Any) -> None:
        super().__init__("test:test:Parent", "parent")
        diagnostics.send(
            "parent-logs",
            target_id=f"{GROUP}/Microsoft.KeyVault/vaults/v",
            workspace_id=f"{GROUP}/Microsoft.OperationalInsights/workspaces/w",
            parent=self,
            **changes,
        )


def graph(preview: bool, **changes: Any) -> Graph:
    return record(lambda: Parent(**changes), preview=preview)


@arm.needs_schemas
@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize(
    ("changes", "logs"),
    [
        ({}, [{"categoryGroup": "allLogs", "enabled": True}]),
        ({"category_groups": (), "categories": ("AuditEvent",)}, [{"category": "AuditEvent", "enabled": True}]),
    ],
)
def test_what_is_sent(preview: bool, changes: dict[str, Any], logs: list[dict[str, Any]]) -> None:
    recorded = graph(preview, **changes)
    made = recorded.inputs("parent-logs")
    assert made["logs"] == logs
    assert made["metrics"] == [{"category": "AllMetrics", "enabled": True}]
    assert recorded.options("parent-logs").parent == "parent"
    assert recorded.options("parent-logs").ignore_changes == ("logAnalyticsDestinationType",)
    assert arm.violations(recorded.type("parent-logs"), made) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"categories": ("A",)}, "exclude each other"), ({"category_groups": (), "metrics": ()}, "sends nothing")],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph(False, **changes)
