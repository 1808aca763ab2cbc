"""Every alert of a cluster over what Container Insights makes of a real API server's objects.

There is no kubelet and no autoscaler of metrics here: what one of them would say of a container, a node or a scaler is
written into the object's status in its stead, and the API server's answer is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from components.azure.log_table import container_log_v2
from components.compute.aks.namespace import namespace_objects
from components.compute.aks.rendering import service_objects
from components.compute.contract import Scale
from components.mlflow.observability import cluster
from components.mlflow.observability.cluster import Cluster
from tests.components.compute.aks.places import place
from tests.components.compute.container_apps.specs import service
from tests.support import container_insights as insights
from tests.support import kusto
from tests.support.container_insights import Object, Row
from tests.support.kubernetes.control_plane import ControlPlane, control_plane, three_zones
from tests.support.waiting import until
from tools.kubernetes import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

NAMESPACE = "mlflow-alerts"
POOL = "work"
NODES = 6
RULES = {
    rule.name: rule
    for rule in cluster.alerts(Cluster(namespace=NAMESPACE, most_nodes={POOL: NODES}), container_log_v2(NAMESPACE))
}
PODS, EVENTS, METRICS, INVENTORY = "KubePodInventory", "KubeEvents", "InsightsMetrics", "KubeNodeInventory"
PATIENCE_SECONDS = 120
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, kw_only=True)
class Real:
    """A stack's service in a cluster that is well."""

    plane: ControlPlane

    def path(self, group: str, kind: str, name: str = "") -> str:
        return f"/{group}/namespaces/{NAMESPACE}/{kind}" + (f"/{name}" if name else "")

    def listed(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.plane.request("GET", path).json()["items"]
        return found

    def pods(self, name: str = "tracking") -> list[dict[str, Any]]:
        return self.listed(f"{self.path('api/v1', 'pods')}?labelSelector=app.kubernetes.io/name={name}")

    def nodes(self) -> list[dict[str, Any]]:
        return self.listed("/api/v1/nodes")

    def patched(self, what: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object as the API server has it with this change."""
        words = ("--type=merge", "-o", "json", "-p", json.dumps(change))
        found: dict[str, Any] = json.loads(self.plane.kubectl("patch", *what.split(), *words))
        return found

    def container(self, **status: Any) -> dict[str, Any]:
        """Return a running pod of which a kubelet says this."""
        pod = self.pods()[0]
        (found,) = pod["status"]["containerStatuses"]
        change = {"status": {"containerStatuses": [{**found, **status}]}}
        return self.patched(f"pod {pod['metadata']['name']} -n {NAMESPACE} --subresource=status", change)


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    """A Kubernetes of its own: what is written into its nodes would be in other tests'."""
    with control_plane(programs.cached(), nodes=three_zones()) as plane:
        here = place(namespace=NAMESPACE)
        plane.apply(*namespace_objects(here).values())
        plane.apply(*service_objects(service(scale=Scale(minimum=2, maximum=3)), here).values())
        plane.kubectl("label", "nodes", "--all", f"agentpool={POOL}")
        found = Real(plane=plane)
        until(lambda: len([pod for pod in found.pods() if _running(pod)]) == 2, "both pods run", PATIENCE_SECONDS)
        yield found


def _running(pod: Object) -> bool:
    return any("running" in each["state"] for each in pod["status"].get("containerStatuses", []))


def minutes(count: int, rows: Callable[[datetime], Sequence[Row]], first: datetime | None = None) -> list[Row]:
    """Return what the agent's looks give, one a minute."""
    begin = first or datetime.now(UTC).replace(tzinfo=None)
    return [row for number in range(count) for row in rows(begin + timedelta(minutes=number))]


def pods_seen(pods: Sequence[Object], count: int = 5, first: datetime | None = None) -> Tables:
    return {PODS: minutes(count, lambda at: [row for pod in pods for row in insights.pod_rows(pod, at)], first)}


def nodes_seen(nodes: Sequence[Object], count: int = 5) -> Tables:
    return {INVENTORY: minutes(count, lambda at: [row for node in nodes for row in insights.node_rows(node, at)])}


def ready(real: Real) -> tuple[Tables, Tables]:
    """A service of which no pod is ready any more, and one of which one is."""
    name = "deployments.apps tracking"
    lost = {"readyReplicas": 0, "availableReplicas": 0, "unavailableReplicas": 2}
    fewer = {"readyReplicas": 1, "availableReplicas": 1, "unavailableReplicas": 1}
    found = [
        real.patched(f"{name} -n {NAMESPACE} --subresource=status", {"status": status}) for status in (lost, fewer)
    ]
    bad, good = (partial(insights.deployment_rows, each) for each in found)
    return {METRICS: minutes(5, bad)}, {METRICS: minutes(5, good)}


def pending(real: Real) -> tuple[Tables, Tables]:
    """A pod for which no node is right: the scheduler leaves it, and the agent looks after eleven and two minutes."""
    template = real.plane.get("deployment", "tracking", "-n", NAMESPACE)["spec"]["template"]
    metadata = {"name": "waiting", "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "waiting"}}
    spec = {**template["spec"], "nodeSelector": {"no-node": "has-this"}}
    real.plane.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    until(lambda: "Unschedulable" in json.dumps(real.pods("waiting")), "the scheduler has looked", PATIENCE_SECONDS)
    (pod,) = real.pods("waiting")
    since = insights.time(pod["metadata"]["creationTimestamp"])
    real.plane.kubectl("delete", "pod", "waiting", "-n", NAMESPACE, "--now")
    late, early = (pods_seen([pod], first=since + timedelta(minutes=after)) for after in (11, 2))
    return late, early


def exhausted(real: Real) -> tuple[Tables, Tables]:
    """A container that ran into its limit now, and one whose limit was met an hour ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    seen = []
    for ended in (now, now - timedelta(hours=1)):
        stamps = {"startedAt": _stamp(ended - timedelta(minutes=9)), "finishedAt": _stamp(ended)}
        killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", **stamps}}
        seen.append(pods_seen([real.container(restartCount=1, lastState=killed)], count=3))
    return seen[0], seen[1]


def restarting(real: Real) -> tuple[Tables, Tables]:
    """Three restarts within a quarter of an hour, and three that were before it."""
    few, many = (real.container(restartCount=count) for count in (0, 3))
    begin = datetime.now(UTC).replace(tzinfo=None)
    earlier, later = pods_seen([few], 7, begin), pods_seen([many], 8, begin + timedelta(minutes=7))
    return {PODS: [*earlier[PODS], *later[PODS]]}, pods_seen([many], 15)


def evicted(real: Real) -> tuple[Tables, Tables]:
    """What a kubelet says of a pod whose spool is full, and other warnings."""
    name = real.pods()[0]["metadata"]["name"]
    texts = {
        "Evicted": 'Usage of EmptyDir volume "spool" exceeds the limit "512Mi". ',
        "Unhealthy": "Readiness probe failed: HTTP probe failed with statuscode: 503",
    }
    made = [
        real.plane.request("POST", real.path("api/v1", "events"), _event(name, reason, text)).json()
        for reason, text in texts.items()
    ]
    return {EVENTS: insights.event_rows(made)}, {EVENTS: insights.event_rows(made[1:])}


def _event(pod: str, reason: str, message: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{pod}.", "namespace": NAMESPACE},
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": pod},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "source": {"component": "kubelet", "host": "node-1-1"},
        "count": 1,
    }


def unhealthy(real: Real) -> tuple[Tables, Tables]:
    """A node short of disk for five minutes, and one for two."""
    node = real.nodes()[0]
    conditions = [
        {**each, "status": "True"} if each["type"] == "DiskPressure" else each for each in node["status"]["conditions"]
    ]
    change = {"status": {"conditions": conditions}}
    short = real.patched(f"node {node['metadata']['name']} --subresource=status", change)
    return nodes_seen([short]), nodes_seen([short], count=2)


def lost(real: Real) -> tuple[Tables, Tables]:
    """A node whose kubelet is silent: the node controller calls its conditions unknown."""
    node = real.nodes()[1]
    conditions = [{**each, "status": "Unknown"} for each in node["status"]["conditions"]]
    change = {"status": {"conditions": conditions}}
    silent = real.patched(f"node {node['metadata']['name']} --subresource=status", change)
    return nodes_seen([silent]), nodes_seen(real.nodes()[2:])


def blocked(real: Real) -> tuple[Tables, Tables]:
    """A node that an upgrade could not drain, and one that is cordoned for another reason."""
    names = [node["metadata"]["name"] for node in real.nodes()[2:4]]
    label = {"metadata": {"labels": {"kubernetes.azure.com/upgrade-status": "Quarantined"}}}
    found = real.patched(f"node {names[0]}", {**label, "spec": {"unschedulable": True}})
    return nodes_seen([found]), nodes_seen([real.patched(f"node {names[1]}", {"spec": {"unschedulable": True}})])


def scaled(real: Real) -> tuple[Tables, Tables]:
    """A scaler that has had all of its pods for a quarter of an hour, and one that had one fewer in between."""
    name = f"hpa tracking -n {NAMESPACE} --subresource=status"
    most, fewer = (
        real.patched(name, {"status": {"currentReplicas": count, "desiredReplicas": count}}) for count in (3, 2)
    )
    begin = datetime.now(UTC).replace(tzinfo=None)
    full = minutes(15, lambda at: insights.scaler_rows(most, at), begin)
    return {METRICS: full}, {METRICS: [*full, *insights.scaler_rows(fewer, begin + timedelta(minutes=7))]}


def grown(real: Real) -> tuple[Tables, Tables]:
    """A pool with all of its nodes, and one in which one came for some minutes only, as in an upgrade."""
    nodes = real.nodes()
    some, all_of_them = nodes_seen(nodes[1:], 15), nodes_seen(nodes, 15)
    return all_of_them, {INVENTORY: [*some[INVENTORY], *nodes_seen(nodes[:1], 5)[INVENTORY]]}


FAULTS: Mapping[str, Sequence[Callable[[Real], tuple[Tables, Tables]]]] = {
    "no-ready-pod": [ready],
    "pods-pending": [pending],
    "memory-exhausted": [exhausted],
    "pods-restarting": [restarting],
    "pods-evicted": [evicted],
    "node-unhealthy": [unhealthy, lost],
    "upgrade-blocked": [blocked],
    "scaler-at-maximum": [scaled],
    "nodes-at-maximum": [grown],
}
# A line of the gateway's: tests/runtime/service/test_alerts.py.
ELSEWHERE = {"gateway-certificate"}


def fires(name: str, tables: Tables) -> bool:
    query = RULES[name].query
    table = query.split()[0]
    return bool(kusto.run(query, tables.get(table, []), table))


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def test_every_alert_of_a_cluster_has_its_fault() -> None:
    assert {*FAULTS, *ELSEWHERE} == {*RULES}


def test_no_alert_fires_while_all_is_well(real: Real) -> None:
    deployment = real.plane.get("deployment", "tracking", "-n", NAMESPACE)
    scaler = real.plane.get("hpa", "tracking", "-n", NAMESPACE)
    metrics = [
        *minutes(15, lambda at: insights.deployment_rows(deployment, at)),
        *minutes(15, lambda at: insights.scaler_rows(scaler, at)),
    ]
    events = insights.event_rows(real.listed(real.path("api/v1", "events")))
    well = {**pods_seen(real.pods(), 15), **nodes_seen(real.nodes()[1:], 15), METRICS: metrics, EVENTS: events}
    assert metrics
    assert [name for name in FAULTS if fires(name, well)] == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name, faults in FAULTS.items() for fault in faults],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_alert_fires_in_its_fault_and_not_in_what_only_looks_like_it(
    name: str, fault: Callable[[Real], tuple[Tables, Tables]], real: Real
) -> None:
    bad, good = fault(real)
    assert any(good.values())
    assert fires(name, bad)
    assert not fires(name, good)


def test_what_happens_in_another_namespace_is_no_fault_of_the_stack(real: Real) -> None:
    others = cluster.alerts(Cluster(namespace="somebody-else"), container_log_v2("somebody-else"))
    bad = {rule.name: FAULTS[rule.name][0](real)[0] for rule in others if rule.name in ("pods-evicted", "no-ready-pod")}
    assert len(bad) == 2
    for rule in others:
        if rule.name in bad:
            table = rule.query.split()[0]
            assert kusto.run(rule.query, bad[rule.name][table], table) == []
