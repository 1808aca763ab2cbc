"""The registry: by identity alone, private and kept where it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from components.azure.container_registry import ContainerRegistry, ContainerRegistryArgs
from tests.support.recorder import Graph, record, shared

SCENARIOS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "max": {"zone_redundant": True, "retention_days": 365, "tags": {"owner": "team"}},
    "hardened": {"private": True, "zone_redundant": True, "protect": True},
}


@shared
def graph(preview: bool, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        "registry_name": "acrmlflowdev3f9a",
        "location": "westeurope",
        "resource_group_name": "rg",
        "tags": {},
        "workspace_id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w",
    }
    computed = {"azure-native:containerregistry:Registry": {"loginServer": "acrmlflowdev3f9a.azurecr.io"}}
    return record(
        lambda: ContainerRegistry("images", ContainerRegistryArgs(**(values | changes))),
        preview=preview,
        computed=computed,
    )


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenarios(scenario: str, preview: bool) -> None:
    recorded = graph(preview, **SCENARIOS[scenario])
    made = recorded.inputs("images-registry")
    hardened = scenario == "hardened"
    assert (made["adminUserEnabled"], made["anonymousPullEnabled"]) == (False, False)
    assert made["sku"]["name"] == ("Basic" if scenario == "defaults" else "Premium")
    assert made["publicNetworkAccess"] == ("Disabled" if hardened else "Enabled")
    assert made["zoneRedundancy"] == ("Disabled" if scenario == "defaults" else "Enabled")
    assert ("policies" in made) == (scenario != "defaults")
    assert recorded.options("images-registry").protect == hardened
    assert ("images-lock" in recorded.names) == hardened
    if hardened:
        assert {"images-registry", "images-logs"} <= recorded.dependencies("images-lock")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"registry_name": "acr-mlflow"}, "5 to 50 letters and digits"), ({"retention_days": 366}, "0 to 365")],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        graph(False, **changes)
