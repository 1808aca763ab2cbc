"""The settings of a cluster's node pools, brought to a cluster that is there: the limits of its autoscaler, and taints.

A cluster names its own pool at its creation alone, and azure-native sends that list again with each later update of the
cluster. So each pool is looked at after every update, and one that has other settings is set by the pools' own
operation. What AKS does not change in place is refused while nothing has changed yet.

Sources: azure-rest-api-specs, Microsoft.ContainerService 2025-09-01, AgentPools_Get and AgentPools_CreateOrUpdate;
Microsoft Learn, "Resize node pools in AKS" (sizes), "Delete a node pool" (no cordon, no drain), "Use node taints";
pulumi-azure-native issues 579, 1686 and 2719 (pools in an update of their cluster).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.azure.arm import Arm, ArmError
from components.compute.dynamic import Provider

API_VERSION = "2025-09-01"
_POLL_SECONDS = 10.0
# A pool takes minutes for a node; a change of its limits alone takes seconds.
_PATIENCE_SECONDS = 1200.0
_ENDED = ("Succeeded", "Failed", "Canceled")
# What Azure says of a pool, and takes from nobody.
_READ_ONLY = ("provisioningState", "currentOrchestratorVersion", "nodeImageVersion", "eTag", "status")
_FIXED = {"vmSize": "nodes of size", "availabilityZones": "nodes in zones"}

Pool = Mapping[str, Any]
"""A pool's `name`, and of its settings `minCount`, `maxCount`, `nodeTaints`, `vmSize` and `availabilityZones`."""


class PoolSettingsError(RuntimeError):
    """A change that AKS does not make in place, or one that failed. The message says which, and what to do."""


def refusal(
    cluster: str, olds: Sequence[Pool], news: Sequence[Pool], has_nodes: Callable[[str], bool], beside: str
) -> str:
    """Return why a living cluster cannot get these pools; empty if it can. `beside` says how to get another cluster."""
    before, after = ({pool["name"]: pool for pool in pools} for pools in (olds, news))
    for name in before.keys() & after.keys():
        for key, words in _FIXED.items():
            was, wanted = before[name].get(key), after[name].get(key)
            if was != wanted:
                return (
                    f"Cluster {cluster}, node pool {name}: got {words} {_words(wanted)}; expected {_words(was)}, since "
                    f"AKS changes neither size nor zones of nodes in place. Set it back. {beside}"
                )
    for name in before.keys() - after.keys():
        if has_nodes(name):
            return (
                f"Cluster {cluster}, node pool {name}: got no such pool; expected it, since AKS deletes its nodes "
                f"without draining them. Set it back. {beside}"
            )
    return ""


def body(living: Mapping[str, Any], wanted: Pool) -> Mapping[str, Any] | None:
    """Return the properties that bring a living pool to its settings; None where it has them."""
    taints = list(wanted.get("nodeTaints") or ())
    settings = {"minCount": int(wanted["minCount"]), "maxCount": int(wanted["maxCount"])}
    same = all(living.get(key) == value for key, value in settings.items())
    if same and sorted(living.get("nodeTaints") or ()) == sorted(taints):
        return None
    count = max(settings["minCount"], min(settings["maxCount"], int(living.get("count") or 0)))
    kept = {key: value for key, value in living.items() if key not in _READ_ONLY}
    return {**kept, **settings, "count": count, "nodeTaints": taints, "enableAutoScaling": True}


class PoolSettingsProvider(Provider):
    """Sets what differs, one pool after the other: AKS works on one change of a cluster at a time."""

    errors = (PoolSettingsError, ArmError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._bring(props)
        return CreateResult(f"{props['clusterId']}/agentPools", props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        self._bring(news)
        return UpdateResult(news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        if olds["clusterId"] != news.get("clusterId"):
            return DiffResult(changes=True, replaces=["clusterId"], delete_before_replace=True)
        with self.message_only():
            name = olds["clusterId"].rsplit("/", 1)[-1]
            has_nodes = functools.partial(_has_nodes, olds["clusterId"])
            if problem := refusal(name, olds["pools"], news["pools"], has_nodes, news["beside"]):
                raise PoolSettingsError(problem)
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in ("pools", "cluster")))

    def _bring(self, props: Mapping[str, Any]) -> None:
        with self.message_only():
            arm = Arm(api_version=API_VERSION)
            for pool in props["pools"]:
                bring(arm, props["clusterId"], pool)


def bring(
    arm: Arm,
    cluster_id: str,
    pool: Pool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Set a pool's settings and wait until Azure has done it. Raises PoolSettingsError or ArmError."""
    path = _path(cluster_id, pool["name"])
    wanted = body(arm.get(path).body["properties"], pool)
    if wanted is None:
        return
    arm.put(path, {"properties": wanted})
    began = clock()
    while (state := arm.get(path).body["properties"].get("provisioningState")) not in _ENDED:
        if clock() - began >= _PATIENCE_SECONDS:
            break
        sleep(_POLL_SECONDS)
    if state != "Succeeded":
        cluster = cluster_id.rsplit("/", 1)[-1]
        raise PoolSettingsError(
            f"Cluster {cluster}, node pool {pool['name']}: its change is {state}; expected Succeeded. It is safe to "
            f"repeat: look at it by `az aks nodepool show --cluster-name {cluster} --name {pool['name']} "
            "--resource-group GROUP`, then run `up` again."
        )


def _has_nodes(cluster_id: str, name: str) -> bool:
    """Whether pods may run on a pool. One that is gone has no nodes."""
    try:
        properties = Arm(api_version=API_VERSION).get(_path(cluster_id, name)).body["properties"]
    except ArmError as error:
        if error.status == 404:
            return False
        raise
    return bool(properties.get("count"))


def _path(cluster_id: str, name: str) -> str:
    return f"{cluster_id}/agentPools/{name}"


def _words(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list | tuple) else str(value or "none")


class PoolSettings(Resource, name="PoolSettings", module="aks"):
    """The pools of a living cluster as they are to be.

    `cluster` is a fingerprint of what an update of the cluster itself changes, `beside` says how to get another cluster
    beside it.

        PoolSettings("aks-pools", cluster_id=cluster.id, cluster="1.36", pools=[
            {"name": "system", "minCount": 2, "maxCount": 3, "vmSize": "Standard_D2ads_v5"},
        ], beside="Give it another name.", opts=ResourceOptions(depends_on=pools))
    """

    def __init__(
        self,
        name: str,
        *,
        cluster_id: pulumi.Input[str],
        cluster: pulumi.Input[str],
        pools: Sequence[Pool],
        beside: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "clusterId": cluster_id,
            "cluster": cluster,
            "pools": [dict(pool) for pool in pools],
            "beside": beside,
        }
        super().__init__(PoolSettingsProvider(), name, inputs, opts)
