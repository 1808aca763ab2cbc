"""The revision that a write of a container app has made: awaited until it is ready or has failed.

Azure calls a write "Succeeded" when it has taken it; whether a replica of the new revision ever gets ready shows
afterwards. Nothing is started or kept here, so that whoever is interrupted looks again.

Sources, Microsoft Learn: "Update and deploy changes in Azure Container Apps" (zero downtime deployment, running
status), "Container Apps Revisions - Get Revision". Azure also sends running states that its enumeration lacks:
ActivationFailed (azure-rest-api-specs, "container app revision spec is missing running states"), ScaledToZero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.azure.arm import Arm, ArmError

POLL_SECONDS = 5.0
# Beyond the startup probe's patience: scheduling a replica and pulling the image.
PULL_SECONDS = 600
# Replicas that fail at first come round: a role assignment takes minutes to work.
FAILING_SECONDS = 300

_FAILED = "Failed"
_FAILING = (_FAILED, "Degraded", "ActivationFailed")
_IN_ORDER = "| order by TimeGenerated asc"


class RevisionNotReadyError(RuntimeError):
    """A revision failed, or was not ready in time."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The app whose latest revision is to be ready: `app_id` is its ARM id.

    `start_seconds` is how long the startup probe bears with a replica; `scales_to_zero`: no replica need be there.
    """

    app_id: str
    start_seconds: int
    scales_to_zero: bool


def wait_until_ready(arm: Arm, wanted: Wanted) -> str:
    """Wait until the app's latest revision is ready, and give its name.

    A newer revision that is made meanwhile is waited for instead, with its own time. Raises RevisionNotReadyError at
    once for a revision whose provisioning failed, after FAILING_SECONDS for one whose replicas fail, and for any other
    after `start_seconds` and PULL_SECONDS; ArmError if Azure refuses a call.
    """
    limit = wanted.start_seconds + PULL_SECONDS
    watched, began, failing_since = None, 0.0, None
    while True:
        app = _properties(arm, wanted.app_id)
        latest, ready = str(app.get("latestRevisionName") or ""), str(app.get("latestReadyRevisionName") or "")
        if latest and latest == ready:
            return latest
        now = arm.clock()
        if latest != watched:
            watched, began, failing_since = latest, now, None
        revision = _revision(arm, wanted, latest)
        if wanted.scales_to_zero and _rests(revision):
            return latest
        if revision.get("runningState") not in _FAILING:
            failing_since = None
        elif failing_since is None:
            failing_since = now
        failing = 0.0 if failing_since is None else now - failing_since
        if problem := _problem(revision, failing=failing, waited=now - began, limit=limit):
            raise RevisionNotReadyError(failure(wanted.app_id, latest, ready, problem, revision))
        arm.sleep(POLL_SECONDS)


def failure(app_id: str, latest: str, ready: str, problem: str, revision: Mapping[str, Any]) -> str:
    """The message: what Azure says of the revision, who has the traffic, where the logs are, what to do."""
    _, _, _, _, group, *_, app = app_id.split("/")
    if not latest:
        return f"The container app {app} {problem}: Azure shows no revision of it. Run `up` again."
    traffic = f"the one before it, {ready}, still has the traffic" if ready else "no other is there to take the traffic"
    return (
        f"The revision {latest} of the container app {app} {problem}; {traffic}. Azure says: {_said(revision)}. "
        f"Its logs, in the Log Analytics workspace:\n{console_query(latest)}\n{system_query(latest)}\n"
        "It is safe to repeat: fix what they say and run `up` again. If that was not the app's own, such as a role "
        "assignment, first restart its replicas: "
        f"`az containerapp revision restart --resource-group {group} --name {app} --revision {latest}`."
    )


def console_query(revision: str) -> str:
    """The query for what a revision's replicas wrote."""
    return f'ContainerAppConsoleLogs | where RevisionName == "{revision}" | project TimeGenerated, Log {_IN_ORDER}'


def system_query(revision: str) -> str:
    """The query for what Azure did with a revision: pulls, probes, starts."""
    return (
        f'ContainerAppSystemLogs | where RevisionName == "{revision}" | project TimeGenerated, Reason, Log {_IN_ORDER}'
    )


def _problem(revision: Mapping[str, Any], *, failing: float, waited: float, limit: int) -> str | None:
    """What ends the waiting; `failing` and `waited` are the seconds that its replicas fail and since it was seen."""
    if revision.get("provisioningState") == _FAILED:
        return "could not be provisioned"
    if failing >= FAILING_SECONDS:
        return f"has been {revision['runningState']} for {failing:.0f} s"
    return f"is not ready after {limit} s" if waited > limit else None


def _rests(revision: Mapping[str, Any]) -> bool:
    """Whether it is fit to serve and has no replica, since nobody asks for one."""
    return (
        revision.get("provisioningState") == "Provisioned"
        and revision.get("runningState") == "ScaledToZero"
        and revision.get("healthState") != "Unhealthy"
    )


def _said(revision: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {revision[key]}"
        for key, name in (
            ("provisioningState", "provisioning"),
            ("runningState", "running"),
            ("healthState", "health"),
            ("replicas", "replicas"),
        )
        if revision.get(key) is not None
    ]
    reported = [
        str(revision[key]).strip(" .") for key in ("runningStateDetails", "provisioningError") if revision.get(key)
    ]
    return "; ".join([", ".join(parts), *reported]) if parts or reported else "nothing"


def _revision(arm: Arm, wanted: Wanted, name: str) -> Mapping[str, Any]:
    """What Azure shows of a revision; a new one is not shown everywhere at once."""
    try:
        return _properties(arm, f"{wanted.app_id}/revisions/{name}") if name else {}
    except ArmError as error:
        if error.status != 404:
            raise
        return {}


def _properties(arm: Arm, path: str) -> Mapping[str, Any]:
    properties = arm.get(path).body.get("properties")
    return properties if isinstance(properties, dict) else {}
