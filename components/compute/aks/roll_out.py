"""The roll-out of a Deployment: awaited until every pod is the new revision's and available, or the cluster gives up.

A change is in the API server before its controller has seen it: until then the status speaks of the previous revision.
Nothing is started or kept here, so that whoever is interrupted looks again.

Sources: Kubernetes, "Deployments" (complete and failed deployments, observedGeneration), "Pod Lifecycle" (conditions,
states of containers), "Determine the Reason for Pod Failure".
"""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.compute.aks.labels import selector

POLL_SECONDS = 2.0
REFUSED_SECONDS = 60.0
"""How long a cluster may refuse: a token ends meanwhile, and what decides on Azure's rights is away for moments."""

_GIVEN_UP = "ProgressDeadlineExceeded"
# Nothing is there, or the question is wrong: to ask again changes nothing.
_FINAL = (400, 404)
_REFUSED = (401, 403)

Get = Callable[[str], Any]
"""Returns what the API server answers to a path. Raises OSError or ValueError without an answer."""


class RollOutError(RuntimeError):
    """A roll-out makes no progress, or its cluster does not answer. The message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The Deployment that is to be rolled out, and the seconds that it may take."""

    namespace: str
    deployment: str
    seconds: float

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.deployment}"


def wait_until_rolled_out(
    get: Get,
    wanted: Wanted,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the roll-out is complete.

    Raises RollOutError at once where the cluster says that it makes no progress, after REFUSED_SECONDS where it may not
    be asked, and after `wanted.seconds` in any other case. A cluster that does not answer is asked again until then.
    """
    began, found = clock(), {}
    refused_since: float | None = None
    while True:
        problem = "is not rolled out"
        try:
            found = get(wanted.path)
            refused_since = None
            if complete(found):
                return
            if given_up(found):
                raise RollOutError(failure(get, wanted, found, f"makes no progress ({_GIVEN_UP})"))
        except urllib.error.HTTPError as error:
            problem = f"cannot be read ({error})"
            refused_since = (refused_since or clock()) if error.code in _REFUSED else None
            refused = refused_since is not None and clock() - refused_since >= REFUSED_SECONDS
            if refused or error.code in _FINAL:
                raise RollOutError(failure(get, wanted, found, problem)) from None
        except (OSError, ValueError) as error:
            problem = f"cannot be read ({error})"
        if clock() - began >= wanted.seconds:
            raise RollOutError(failure(get, wanted, found, f"{problem} after {wanted.seconds:.0f} s"))
        sleep(POLL_SECONDS)


def complete(deployment: Mapping[str, Any]) -> bool:
    """Whether every pod is of the latest revision and available, and as many as wanted."""
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return _observed(deployment) and all(count == replicas for count in counts)


def given_up(deployment: Mapping[str, Any]) -> bool:
    """Whether the cluster says that the latest revision makes no progress."""
    conditions = deployment.get("status", {}).get("conditions", [])
    return _observed(deployment) and any(each.get("reason") == _GIVEN_UP for each in conditions)


def failure(get: Get, wanted: Wanted, deployment: Mapping[str, Any], problem: str) -> str:
    """Return the message: why a pod cannot be created or is not ready, who serves, what to do."""
    name, namespace = wanted.deployment, wanted.namespace
    try:
        said = "; ".join([*_refused(deployment), *reasons(get, wanted)]) or "nothing of a pod"
    except (OSError, ValueError) as error:
        said = f"nothing, its pods cannot be read ({error})"
    return (
        f"The deployment {name} in namespace {namespace} {problem}; pods of the previous revision, if there was one, "
        f"still serve. The cluster says: {said}. It is safe to repeat: fix what it says and run `up` again. If that "
        "was not the stack's own, such as a role assignment, first start its pods again: "
        f"`kubectl rollout restart deployment/{name} --namespace {namespace}`."
    )


def reasons(get: Get, wanted: Wanted) -> Sequence[str]:
    """Return what each pod that is not ready says, by its name."""
    labels = ",".join(f"{key}={value}" for key, value in selector(wanted.deployment)["matchLabels"].items())
    pods = get(f"/api/v1/namespaces/{wanted.namespace}/pods?labelSelector={urllib.parse.quote(labels)}")["items"]
    waiting = [pod for pod in pods if not _ready(pod) and "deletionTimestamp" not in pod["metadata"]]
    return [f"{pod['metadata']['name']}: {', '.join(_said(get, wanted, pod)) or 'nothing'}" for pod in waiting]


def _refused(deployment: Mapping[str, Any]) -> Sequence[str]:
    """Why its pods cannot be created, such as a quota."""
    conditions = deployment.get("status", {}).get("conditions", [])
    return [str(each.get("message")) for each in conditions if each.get("type") == "ReplicaFailure"]


def _said(get: Get, wanted: Wanted, pod: Mapping[str, Any]) -> Sequence[str]:
    """Conditions, states of containers with the ends of their logs, and warnings, each once."""
    status = pod.get("status", {})
    found = [each for each in status.get("conditions", []) if each.get("status") == "False"]
    for container in status.get("containerStatuses", []):
        states = [*container.get("state", {}).items(), *container.get("lastState", {}).items()]
        found += [state for kind, state in states if kind in ("waiting", "terminated")]
    fields = urllib.parse.quote(f"involvedObject.name={pod['metadata']['name']},type=Warning")
    found += get(f"/api/v1/namespaces/{wanted.namespace}/events?fieldSelector={fields}")["items"]
    words = [" ".join(filter(None, (each.get("reason"), each.get("message")))).strip() for each in found]
    return list(dict.fromkeys(filter(None, words)))


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _observed(deployment: Mapping[str, Any]) -> bool:
    """Whether the status is of what the Deployment is now."""
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"])
