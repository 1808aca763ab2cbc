"""The revisions of a container app: its latest one, the one that was ready last, and what Azure answers about each.

Source: Microsoft Learn, "Update and deploy changes in Azure Container Apps" (revision-scope changes, running status).
The states that the API specification lacks are those of its issue 29102 in Azure/azure-rest-api-specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.offline_azure import computed_outputs
from delivery.offline_azure.values import ordered

READY: Final = "Succeeded"
UNREADY: Final = "Unready"
FAILED: Final = "Failed"
OUTCOMES: Final = (READY, UNREADY, FAILED)
"""A revision becomes ready, runs and never becomes ready, or cannot be started."""

_STATES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    READY: ("Provisioned", "Running", "Healthy", "Running"),
    UNREADY: ("Provisioned", "Degraded", "Unhealthy", "1/1 Container crashing: probe failed with status code: 503"),
    FAILED: ("Failed", "ActivationFailed", "Unhealthy", "Deployment Progress Deadline Exceeded. 0/1 replicas ready."),
}

Revision = dict[str, Any]


def name_of(app: str, template: Any) -> str:
    """Return the revision's name, which follows from the template: another template is another revision."""
    return f"{app}--{computed_outputs.guid(ordered(template), 'revision')[:7]}"


def after(history: list[Revision], app: str, inputs: Mapping[str, Any], outcomes: list[str]) -> list[Revision]:
    """Return the revisions after a PUT of an app: one more, with the next outcome, if its template changed."""
    name = name_of(app, inputs.get("template"))
    if history and history[-1]["name"] == name:
        return history
    outcome = outcomes.pop(0) if outcomes else READY
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome of a revision of {app}: {outcome!r}; there are {', '.join(OUTCOMES)}.")
    scale = (inputs.get("template") or {}).get("scale") or {}
    revision = {"name": name, "outcome": outcome, "looks": 0, "replicas": int(scale.get("minReplicas", 0))}
    return [*(one for one in history if one["name"] != name), revision]


def summary(history: list[Revision]) -> dict[str, str]:
    """Return the app's latest revision and the latest one that became ready; "" if none did."""
    ready = [one["name"] for one in history if one["outcome"] == READY]
    return {"latestRevisionName": history[-1]["name"], "latestReadyRevisionName": ready[-1] if ready else ""}


def answer(app: str, history: list[Revision], revision: Revision) -> dict[str, Any]:
    """Return the answer to a GET of a revision. The first GET of a new one finds it provisioning."""
    provisioning, running, health, details = _STATES[revision["outcome"]]
    if revision["looks"] <= 1:
        provisioning, running, health, details = "Provisioning", "Processing", "None", "0/1 replicas ready."
    elif revision["outcome"] == READY and revision["replicas"] == 0:
        running, details = "ScaledToZero", "Scaled to 0"
    serving = revision["name"] in summary(history).values()
    properties = {
        "active": serving,
        "provisioningState": provisioning,
        "runningState": running,
        "runningStateDetails": details,
        "healthState": health,
        "replicas": revision["replicas"] if revision["outcome"] == READY and revision["looks"] > 1 else 0,
        "trafficWeight": 100 if revision["name"] == summary(history)["latestReadyRevisionName"] else 0,
    }
    return {
        "id": f"{app}/revisions/{revision['name']}",
        "name": revision["name"],
        "type": "Microsoft.App/containerApps/revisions",
        "properties": properties,
    }
