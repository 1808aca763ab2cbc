"""Waiting for a revision, against a server that answers as Azure Resource Manager does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.azure import arm
from components.azure.arm import Arm, ArmError
from components.compute.container_apps import revision
from components.compute.container_apps.resources import RevisionReadyProvider
from components.compute.container_apps.revision import RevisionNotReadyError, Wanted, wait_until_ready
from tests.support.arm_server import NOT_FOUND, ArmServer, Clock
from tests.support.json_server import Answer

APP = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.App/containerApps/ca-tracking-dev"
OLD, NEW, NEWER = (f"ca-tracking-dev--{number}" for number in ("1", "2", "3"))
WANTED = Wanted(app_id=APP, start_seconds=120, scales_to_zero=False)

STARTING = {"provisioningState": "Provisioning", "runningState": "Processing", "healthState": "None", "replicas": 1}
CRASHING = {
    "provisioningState": "Provisioned",
    "runningState": "Degraded",
    "healthState": "Unhealthy",
    "replicas": 1,
    "runningStateDetails": "0/1 containers are ready.",
}
RESTING = {"provisioningState": "Provisioned", "runningState": "ScaledToZero", "healthState": "None", "replicas": 0}


class FakeApp(ArmServer):
    """An app; each look at it takes the next of `looks` (latest, latest ready), and the last one stays."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[tuple[str | None, str | None]] = [(NEW, OLD)]
        self.revisions: dict[str, list[dict[str, Any]]] = {NEW: [STARTING], NEWER: [STARTING]}

    def answer(self, method: str, path: str) -> Answer | None:
        assert method == "GET"  # nothing is started or changed by looking
        if path == APP:
            latest, ready = _next(self.looks)
            return 200, {"properties": {"latestRevisionName": latest, "latestReadyRevisionName": ready}}, {}
        name = path.removeprefix(f"{APP}/revisions/")
        return (
            (200, {"name": name, "properties": _next(self.revisions[name])}, {}) if self.revisions[name] else NOT_FOUND
        )

    def seen(self) -> int:
        return self.calls.count(f"GET {APP}")


def _next(script: list[Any]) -> Any:
    return script.pop(0) if len(script) > 1 else script[0]


@pytest.fixture
def azure() -> Iterator[FakeApp]:
    server = FakeApp()
    with server.serving():
        yield server


def not_ready(client: Arm, wanted: Wanted = WANTED) -> str:
    with pytest.raises(RevisionNotReadyError) as error:
        wait_until_ready(client, wanted)
    return str(error.value)


def test_ready_at_the_third_look(azure: FakeApp, client: Arm, clock: Clock) -> None:
    azure.looks = [(NEW, OLD), (NEW, OLD), (NEW, NEW)]
    assert wait_until_ready(client, WANTED) == NEW
    assert (azure.seen(), clock.slept) == (3, [5.0, 5.0])


def test_one_that_is_ready_is_looked_at_once(azure: FakeApp, client: Arm, clock: Clock) -> None:
    azure.looks = [(NEW, NEW)]
    assert wait_until_ready(client, WANTED) == NEW
    assert (azure.calls, clock.slept) == ([f"GET {APP}"], [])


def test_one_that_is_never_ready_has_a_limit(client: Arm, clock: Clock) -> None:
    reported = not_ready(client)
    assert f"The revision {NEW} of the container app ca-tracking-dev is not ready after 720 s" in reported
    assert f"the one before it, {OLD}, still has the traffic" in reported
    assert "Azure says: provisioning Provisioning, running Processing, health None, replicas 1." in reported
    assert 720 < clock.now <= 725


def test_a_failed_revision_is_reported_at_once(azure: FakeApp, client: Arm, clock: Clock) -> None:
    failed = {"provisioningState": "Failed", "runningState": "Failed", "provisioningError": "ErrImagePull: not found."}
    azure.revisions[NEW] = [failed]
    reported = not_ready(client)
    assert clock.slept == []
    assert f"{NEW} of the container app ca-tracking-dev could not be provisioned" in reported
    assert "Azure says: provisioning Failed, running Failed; ErrImagePull: not found." in reported
    assert f'ContainerAppConsoleLogs | where RevisionName == "{NEW}"' in reported
    assert f'ContainerAppSystemLogs | where RevisionName == "{NEW}"' in reported
    assert f"az containerapp revision restart --resource-group rg --name ca-tracking-dev --revision {NEW}" in reported


def test_the_first_revision_has_none_before_it(azure: FakeApp, client: Arm) -> None:
    azure.looks, azure.revisions[NEW] = [(NEW, None)], [{"provisioningState": "Failed"}]
    assert "no other is there to take the traffic" in not_ready(client)


@pytest.mark.parametrize("state", ["Failed", "Degraded", "ActivationFailed"])
def test_replicas_that_keep_failing_end_the_waiting_earlier(
    azure: FakeApp, client: Arm, clock: Clock, state: str
) -> None:
    azure.revisions[NEW] = [STARTING, CRASHING | {"runningState": state}]
    reported = not_ready(client)
    assert f"has been {state} for 300 s" in reported
    assert "health Unhealthy, replicas 1; 0/1 containers are ready." in reported
    assert clock.now == 305


def test_replicas_that_come_round_are_borne_with(azure: FakeApp, client: Arm) -> None:
    azure.revisions[NEW] = [*[CRASHING] * 59, STARTING, *[CRASHING] * 59, STARTING]
    azure.looks = [*[(NEW, OLD)] * 119, (NEW, NEW)]
    assert wait_until_ready(client, WANTED) == NEW


def test_scaled_to_zero_is_ready_where_no_replica_need_be_there(azure: FakeApp, client: Arm) -> None:
    azure.revisions[NEW] = [STARTING, RESTING]
    wanted = Wanted(app_id=APP, start_seconds=120, scales_to_zero=True)
    assert wait_until_ready(client, wanted) == NEW
    assert "running ScaledToZero" in not_ready(client)
    azure.revisions[NEW] = [RESTING | {"healthState": "Unhealthy"}]
    assert "health Unhealthy" in not_ready(client, wanted)


def test_a_throttled_look_is_repeated_when_azure_says(azure: FakeApp, client: Arm, clock: Clock) -> None:
    azure.refusals = [("GET", 429, {"Retry-After": "17"})]
    azure.looks = [(NEW, NEW)]
    assert wait_until_ready(client, WANTED) == NEW
    assert clock.slept == [17]


def test_a_refused_look_is_reported(azure: FakeApp, client: Arm) -> None:
    azure.refusals = [("GET", 403, {})]
    with pytest.raises(ArmError, match=r"GET .*/ca-tracking-dev: 403 E403"):
        wait_until_ready(client, WANTED)


def test_a_newer_revision_is_waited_for_with_its_own_time(azure: FakeApp, client: Arm, clock: Clock) -> None:
    azure.revisions = {NEW: [CRASHING], NEWER: [CRASHING, STARTING]}
    azure.looks = [*[(NEW, OLD)] * 59, *[(NEWER, OLD)] * 140, (NEWER, NEWER)]
    clock.now = 1000.0
    assert wait_until_ready(client, WANTED) == NEWER
    assert clock.now == 1000 + 199 * 5


def test_a_revision_that_is_not_shown_yet_is_waited_for(azure: FakeApp, client: Arm) -> None:
    azure.revisions[NEW] = []
    azure.looks = [(None, None), (NEW, None), (NEW, NEW)]
    assert wait_until_ready(client, WANTED) == NEW


def test_an_app_without_a_revision_is_reported(azure: FakeApp, client: Arm) -> None:
    azure.looks = [(None, None)]
    assert "is not ready after 720 s: Azure shows no revision of it" in not_ready(client)


def test_the_resource_asks_where_the_environment_says(azure: FakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "default_token", lambda _: "token")
    monkeypatch.setattr(revision, "POLL_SECONDS", 0.0)
    monkeypatch.setenv("ARM_ENDPOINT", azure.url)
    azure.looks = [(NEW, OLD), (NEW, NEW)]
    props = {"appId": APP, "revision": NEW, "startSeconds": 120.0, "scalesToZero": False, "ready": None}
    made = RevisionReadyProvider().create(props)
    assert (made.id, made.outs) == (APP, props | {"ready": NEW})
    azure.revisions[NEW], azure.looks = [{"provisioningState": "Failed"}], [(NEW, OLD)]
    with pytest.raises(RevisionNotReadyError):
        RevisionReadyProvider().update(APP, props, props)


def test_it_is_looked_at_again_only_for_another_revision_and_recreated_for_another_app() -> None:
    olds = {"appId": APP, "revision": NEW, "startSeconds": 120.0, "scalesToZero": False, "ready": NEW}
    diff = RevisionReadyProvider().diff
    assert not diff(APP, olds, olds | {"startSeconds": 60.0, "scalesToZero": True, "ready": None}).changes
    other = diff(APP, olds, olds | {"revision": NEWER})
    assert (other.changes, other.replaces) == (True, [])
    elsewhere = diff(APP, olds, olds | {"appId": f"{APP}-2"})
    assert (elsewhere.changes, elsewhere.replaces) == (True, ["appId"])
