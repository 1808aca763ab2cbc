"""Settings of pools on a living cluster: what is set, what is left alone, and what AKS would not do in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from components.azure import aks_pool_settings
from components.azure.aks_pool_settings import PoolSettingsError, PoolSettingsProvider, body, bring, refusal
from components.azure.arm import Answer, Arm, ArmError

CLUSTER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks-dev-blue"
TAINT = "CriticalAddonsOnly=true:NoSchedule"
BESIDE = "Run: pulumi config set --path aks.generation green -s dev"


def pool(**changes: Any) -> dict[str, Any]:
    return {"name": "system", "minCount": 2, "maxCount": 3, "nodeTaints": [], "vmSize": "Standard_D2ads_v5", **changes}


def living(**changes: Any) -> dict[str, Any]:
    """As AgentPools_Get answers."""
    said = {"provisioningState": "Succeeded", "currentOrchestratorVersion": "1.36.2", "eTag": "x", "osType": "Linux"}
    return {**said, "count": 3, "minCount": 2, "maxCount": 3, "enableAutoScaling": True, **changes}


def test_a_pool_that_has_its_settings_is_left_alone() -> None:
    assert body(living(), pool()) is None
    assert body(living(nodeTaints=[TAINT]), pool(nodeTaints=[TAINT])) is None


@pytest.mark.parametrize(
    ("wanted", "settings"),
    [
        ({"maxCount": 9}, {"minCount": 2, "maxCount": 9, "count": 3, "nodeTaints": []}),
        ({"minCount": 4, "maxCount": 6}, {"minCount": 4, "maxCount": 6, "count": 4, "nodeTaints": []}),
        ({"minCount": 1, "maxCount": 2}, {"minCount": 1, "maxCount": 2, "count": 2, "nodeTaints": []}),
        ({"nodeTaints": [TAINT]}, {"minCount": 2, "maxCount": 3, "count": 3, "nodeTaints": [TAINT]}),
    ],
)
def test_only_the_settings_change_and_the_autoscaler_s_count_stays_where_it_may(
    wanted: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    assert body(living(), pool(**wanted)) == {"enableAutoScaling": True, "osType": "Linux", **settings}


@pytest.mark.parametrize(
    ("news", "nodes", "says"),
    [
        ([pool(maxCount=9, nodeTaints=[TAINT]), pool(name="work")], True, ""),
        (
            [pool(vmSize="Standard_D4ads_v5")],
            True,
            "node pool system: got nodes of size Standard_D4ads_v5; expected Standard_D2ads_v5",
        ),
        ([pool(availabilityZones=["1", "2"])], True, "node pool system: got nodes in zones 1, 2; expected none"),
        (
            [],
            True,
            "node pool system: got no such pool; expected it, since AKS deletes its nodes without draining them. "
            f"Set it back. {BESIDE}",
        ),
        ([], False, ""),
    ],
)
def test_what_aks_does_not_do_in_place_is_refused_with_the_way_to_it(news: Any, nodes: bool, says: str) -> None:
    found = refusal("aks-dev-blue", [pool()], news, lambda _: nodes, BESIDE)
    assert found.startswith(f"Cluster aks-dev-blue, {says}") if says else found == ""
    assert found.endswith(BESIDE) if says else True


class Azure(Arm):
    """One pool, whose change takes as many looks as `states` says."""

    def __init__(self, *states: str) -> None:
        super().__init__(api_version="", endpoint="https://azure.invalid")
        object.__setattr__(self, "states", list(states))
        object.__setattr__(self, "sent", [])

    def get(self, path: str) -> Answer:
        assert path == f"{CLUSTER}/agentPools/system"
        state = self.states.pop(0) if self.sent else "Succeeded"  # type: ignore[attr-defined]
        return Answer(200, {}, {"properties": living(provisioningState=state)})

    def put(self, path: str, body: Mapping[str, Any]) -> Answer:
        self.sent.append((path, body["properties"]["maxCount"]))  # type: ignore[attr-defined]
        return Answer(200, {}, {})


def test_a_change_is_waited_for() -> None:
    slept: list[float] = []
    azure = Azure("Updating", "Updating", "Succeeded")
    bring(azure, CLUSTER, pool(maxCount=9), clock=lambda: 0.0, sleep=slept.append)
    assert azure.sent == [(f"{CLUSTER}/agentPools/system", 9)]  # type: ignore[attr-defined]
    assert len(slept) == 2


def test_a_change_that_fails_says_where_to_look() -> None:
    with pytest.raises(PoolSettingsError, match=r"its change is Failed; .*az aks nodepool show .* then run `up` again"):
        bring(Azure("Failed"), CLUSTER, pool(maxCount=9), clock=lambda: 0.0, sleep=lambda _: None)


STATE = {"clusterId": CLUSTER, "cluster": {"version": "1.36"}, "pools": [pool()], "beside": BESIDE}


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({}, False),
        ({"beside": "other words"}, False),
        ({"cluster": {"version": "1.37"}}, True),
        ({"pools": [pool(maxCount=9)]}, True),
    ],
)
def test_pools_are_looked_at_after_each_update_of_their_cluster(changes: Mapping[str, Any], changed: bool) -> None:
    assert PoolSettingsProvider().diff("", STATE, {**STATE, **changes}).changes is changed


@pytest.mark.parametrize(("answer", "refused"), [({"count": 1}, True), ({"count": 0}, False), (404, False)])
def test_a_pool_without_nodes_may_go(monkeypatch: pytest.MonkeyPatch, answer: Any, refused: bool) -> None:
    def get(_: Arm, path: str) -> Answer:
        if answer == 404:
            raise ArmError(f"{path} 404", 404)
        return Answer(200, {}, {"properties": answer})

    monkeypatch.setattr(Arm, "get", get)
    monkeypatch.setattr(aks_pool_settings, "Arm", lambda **given: Arm(**given, endpoint="https://azure.invalid"))
    provider = PoolSettingsProvider()
    if refused:
        with pytest.raises(PoolSettingsError, match="without draining them"):
            provider.diff("", STATE, {**STATE, "pools": []})
    else:
        assert provider.diff("", STATE, {**STATE, "pools": []}).changes is True
