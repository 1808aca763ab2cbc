"""When a roll-out is complete, when it is given up, and what is said then: pure, by statuses as Kubernetes has them."""

from __future__ import annotations

import email.message
import http.client
import io
import json
import urllib.error
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from components.azure.arm import ArmError
from components.compute.aks import resources, roll_out
from components.compute.aks.resources import RolledOutProvider
from components.compute.aks.roll_out import (
    POLL_SECONDS,
    REFUSED_SECONDS,
    RollOutError,
    Wanted,
    complete,
    wait_until_rolled_out,
)
from tests.support.arm_server import Clock

WANTED = Wanted(namespace="mlflow-dev", deployment="tracking", seconds=60)
PROPS = {
    "server": "https://cluster",
    "authority": "",
    "namespace": "mlflow-dev",
    "deployment": "tracking",
    "spec": "a",
    "uid": "u",
    "generation": 2.0,
    "seconds": 60.0,
}
POD = {
    "metadata": {"name": "tracking-2-x"},
    "status": {
        "conditions": [
            {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [tracking]"},
        ],
        "containerStatuses": [
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no such database"}},
            }
        ],
    },
}
PREVIOUS_POD = {
    "metadata": {"name": "tracking-1-x"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
EVENT = {"reason": "Unhealthy", "message": "Readiness probe failed: 503"}


def deployment(reason: str = "NewReplicaSetAvailable", *, observed: int = 2, **counts: int) -> dict[str, Any]:
    status = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2} | counts
    conditions = [{"type": "Available", "status": "True"}, {"type": "Progressing", "reason": reason}]
    return {
        "metadata": {"generation": 2, "uid": "u"},
        "spec": {"replicas": 2},
        "status": {**status, "observedGeneration": observed, "conditions": conditions},
    }


def error(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("https://cluster", code, "said", email.message.Message(), None)


class Cluster:
    """Each look at the Deployment takes the next of its looks, and the last one stays."""

    def __init__(self, *looks: Mapping[str, Any] | Exception) -> None:
        self.looks = [*looks]
        self.asked: list[str] = []

    def __call__(self, path: str) -> Any:
        self.asked.append(path)
        if "/pods?" in path:
            return {"items": [POD, PREVIOUS_POD]}
        if "/events?" in path:
            return {"items": [EVENT, EVENT]}
        assert path == "/apis/apps/v1/namespaces/mlflow-dev/deployments/tracking"
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found


def waited(cluster: Cluster) -> float:
    clock = Clock()
    wait_until_rolled_out(cluster, WANTED, lambda: clock.now, clock.sleep)
    return clock.now


@pytest.mark.parametrize(
    "before",
    [
        deployment(observed=1),
        deployment("ProgressDeadlineExceeded", observed=1),
        deployment("ReplicaSetUpdated", updatedReplicas=1, replicas=3),
        # A roll-out that goes back to a revision that is there says so at first.
        deployment(updatedReplicas=0),
        deployment(replicas=3),
        deployment(readyReplicas=1),
        deployment(availableReplicas=1),
        {"metadata": {"generation": 1}, "spec": {}},
        error(503),
        ConnectionResetError("reset"),
        error(401),
        error(403),
    ],
    ids=[
        "not observed",
        "not observed after a failure",
        "under way",
        "back to a revision",
        "previous pods",
        "not ready",
        "not available",
        "no status",
        "busy",
        "no answer",
        "a token that has ended",
        "a right that is not honoured",
    ],
)
def test_a_status_that_is_not_of_the_whole_new_revision_is_waited_for(before: Mapping[str, Any] | Exception) -> None:
    cluster = Cluster(before, deployment())
    assert waited(cluster) == POLL_SECONDS
    assert len(cluster.asked) == 2


def test_one_that_makes_no_progress_is_given_up_at_once_and_its_pod_says_why() -> None:
    stuck = deployment("ProgressDeadlineExceeded", replicas=3, updatedReplicas=1)
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: workloads"}
    stuck["status"]["conditions"].append(refused)
    cluster = Cluster(stuck)
    with pytest.raises(RollOutError) as failed:
        waited(cluster)
    assert "/apis/apps/v1/namespaces/mlflow-dev/deployments/tracking" in cluster.asked[0]
    assert len(cluster.asked) == 3
    assert str(failed.value) == (
        "The deployment tracking in namespace mlflow-dev makes no progress (ProgressDeadlineExceeded); pods of the "
        "previous revision, if there was one, still serve. The cluster says: exceeded quota: workloads; tracking-2-x: "
        "ContainersNotReady unready: [tracking], CrashLoopBackOff back-off 40s, Error no such database, Unhealthy "
        "Readiness probe failed: 503. It is safe to repeat: fix what it says and run `up` again. If that was not the "
        "stack's own, such as a role assignment, first start its pods again: `kubectl rollout restart "
        "deployment/tracking --namespace mlflow-dev`."
    )


def test_one_that_never_ends_is_given_up_in_time() -> None:
    cluster = Cluster(deployment("ReplicaSetUpdated", updatedReplicas=1))
    with pytest.raises(RollOutError, match="is not rolled out after 60 s"):
        waited(cluster)
    assert sum("/deployments/" in path for path in cluster.asked) == 60 / POLL_SECONDS + 1


def test_a_deployment_that_is_gone_is_not_asked_for_again() -> None:
    cluster = Cluster(error(404))
    with pytest.raises(RollOutError, match=r"cannot be read .*404"):
        waited(cluster)
    assert sum("/deployments/" in path for path in cluster.asked) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_cluster_that_refuses_for_a_minute_is_given_up(code: int) -> None:
    wanted = replace(WANTED, seconds=900)
    clock, cluster = Clock(), Cluster(deployment("ReplicaSetUpdated", updatedReplicas=1), error(code))
    with pytest.raises(RollOutError, match=f"cannot be read .*{code}"):
        wait_until_rolled_out(cluster, wanted, lambda: clock.now, clock.sleep)
    assert clock.now == REFUSED_SECONDS + POLL_SECONDS


def test_a_refusal_in_passing_is_no_part_of_a_later_one() -> None:
    wanted, clock = replace(WANTED, seconds=900), Clock()
    under_way = deployment("ReplicaSetUpdated", updatedReplicas=1)
    looks: list[Mapping[str, Any] | Exception] = [*([error(401)] * 10), under_way] * 4
    wait_until_rolled_out(Cluster(*looks, deployment()), wanted, lambda: clock.now, clock.sleep)
    assert clock.now == len(looks) * POLL_SECONDS > REFUSED_SECONDS


@pytest.mark.parametrize("passing", [ArmError("no token at the moment"), http.client.IncompleteRead(b"")])
def test_a_token_or_an_answer_that_fails_once_ends_nothing(monkeypatch: pytest.MonkeyPatch, passing: Exception) -> None:
    """Neither is an error of the connection by its type."""
    failures = [passing]

    def token(_: str) -> str:
        if failures and isinstance(passing, ArmError):
            raise failures.pop()
        return "token"

    def opened(*_: Any, **__: Any) -> Any:
        if failures:
            raise failures.pop()
        return io.BytesIO(json.dumps(deployment()).encode())

    monkeypatch.setattr(resources, "default_token", token)
    monkeypatch.setattr("urllib.request.urlopen", opened)
    monkeypatch.setattr("ssl.create_default_context", lambda **_: None)
    monkeypatch.setattr(roll_out, "POLL_SECONDS", 0)
    assert RolledOutProvider().create(dict(PROPS)).id == "mlflow-dev/tracking"
    assert failures == []


def test_a_deployment_without_pods_is_complete() -> None:
    empty = {"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}
    assert complete(empty)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def ask(_at: object, _token: str, path: str) -> Any:
        found.append(path)
        return deployment()

    monkeypatch.setattr(resources, "call", ask)
    monkeypatch.setattr(resources, "default_token", lambda _: "token")
    return found


def test_no_cluster_is_asked_where_nothing_changed_or_the_spec_did(asked: list[str]) -> None:
    provider = RolledOutProvider()
    assert not provider.diff("id", PROPS, {**PROPS, "seconds": 90.0}).changes
    assert provider.diff("id", PROPS, {**PROPS, "spec": "b", "generation": 3.0}).changes
    assert asked == []


def test_a_generation_of_somebody_else_is_looked_at(asked: list[str]) -> None:
    """The scaler's is complete; one that a preview foresees is not there yet."""
    diff = RolledOutProvider().diff
    assert not diff("id", {**PROPS, "generation": 1.0}, PROPS).changes
    assert diff("id", PROPS, {**PROPS, "generation": 3.0}).changes
    assert diff("id", PROPS, {**PROPS, "generation": None}).changes
    assert len(asked) == 2


def test_the_state_holds_no_token(asked: list[str]) -> None:
    made = RolledOutProvider().create(dict(PROPS))
    assert (made.id, made.outs) == ("mlflow-dev/tracking", PROPS)
    assert len(asked) == 1
