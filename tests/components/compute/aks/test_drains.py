"""Nodes that go zone by zone, as in an upgrade, on a real API server: what a budget and the spread are for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.rendering import service_objects
from components.compute.contract import Destination, Ingress, Scale
from tests.components.compute.aks.places import place
from tests.components.compute.container_apps.specs import IMAGE, service
from tests.support.kubernetes.control_plane import ControlPlane, control_plane, three_zones
from tests.support.waiting import until
from tools.kubernetes import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.core, pytest.mark.timeout(1200)]

NAMESPACE = "mlflow-drains"
GATEWAY = service(
    name="gateway",
    role="gateway",
    ingress=Ingress.PUBLIC,
    scale=Scale(minimum=3, maximum=3),
    calls=frozenset({Destination.SERVICES}),
)
TRACKING = service(scale=Scale(minimum=2, maximum=2))
PATIENCE_SECONDS = 300
NEXT = "sha256:" + "b" * 64


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A Kubernetes of its own: nodes that go would be missing in other tests."""
    with control_plane(programs.cached(), nodes=three_zones()) as made:
        here = place(namespace=NAMESPACE)
        made.apply(*namespace_objects(here).values())
        for spec in (GATEWAY, TRACKING):
            made.apply(*service_objects(spec, here).values())
        until(lambda: ready(made) == {"gateway": 3, "tracking": 2}, "every pod is ready", PATIENCE_SECONDS)
        yield made


def pods(plane: ControlPlane) -> list[dict[str, Any]]:
    found = plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods").json()["items"]
    return [pod for pod in found if pod["metadata"].get("deletionTimestamp") is None]


def ready(plane: ControlPlane) -> dict[str, int]:
    """How many pods of each service are ready."""
    count = {"gateway": 0, "tracking": 0}
    for pod in pods(plane):
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        count[pod["metadata"]["labels"]["app.kubernetes.io/name"]] += conditions.get("Ready") == "True"
    return count


@contextlib.contextmanager
def watched(plane: ControlPlane) -> Iterator[dict[str, int]]:
    """The fewest pods of each service that were ready at any look in the block."""
    fewest, over = ready(plane), threading.Event()

    def look() -> None:
        while not over.is_set():
            for name, count in ready(plane).items():
                fewest[name] = min(fewest[name], count)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield fewest
    finally:
        over.set()
        watcher.join()


def nodes_of(plane: ControlPlane, name: str) -> list[str]:
    """The nodes of the pods that have one."""
    found = [pod for pod in pods(plane) if pod["metadata"]["labels"]["app.kubernetes.io/name"] == name]
    return [pod["spec"]["nodeName"] for pod in found if "nodeName" in pod["spec"]]


def test_a_new_digest_rolls_out_and_never_leaves_fewer_ready_pods(plane: ControlPlane) -> None:
    there = place(namespace=NAMESPACE, image=replace(IMAGE, digest=NEXT))
    with watched(plane) as fewest:
        for spec in (TRACKING, GATEWAY):
            plane.apply(service_objects(spec, there)["pods"])
        until(lambda: digests(plane) == {NEXT}, "every pod is of the new digest", PATIENCE_SECONDS)
        until(lambda: ready(plane) == {"gateway": 3, "tracking": 2}, "every pod is ready", PATIENCE_SECONDS)
    assert fewest == {"gateway": 3, "tracking": 2}


def digests(plane: ControlPlane) -> set[str]:
    return {pod["spec"]["containers"][0]["image"].partition("@")[2] for pod in pods(plane)}


def test_gateways_are_on_nodes_and_zones_of_their_own(plane: ControlPlane) -> None:
    nodes = nodes_of(plane, "gateway")
    assert len(set(nodes)) == 3
    assert {node.split("-")[1] for node in nodes} == {"1", "2", "3"}


def test_a_zone_goes_and_one_pod_of_a_service_at_a_time(plane: ControlPlane) -> None:
    for zone in (1, 2, 3):
        nodes = [node.name for node in three_zones() if node.zone.endswith(f"-{zone}")]
        with watched(plane) as fewest:
            plane.kubectl("drain", *nodes, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
            until(lambda: ready(plane) == {"gateway": 3, "tracking": 2}, "all are ready again", PATIENCE_SECONDS)
        assert not set(nodes_of(plane, "gateway")) & set(nodes)
        plane.kubectl("uncordon", *nodes)
        assert fewest["gateway"] >= 2
        assert fewest["tracking"] >= 1


def test_a_second_pod_stays_until_the_first_one_has_its_successor(plane: ControlPlane) -> None:
    """With no node for a successor: an upgrade waits, rather than to take one after the other."""
    names = [node.name for node in three_zones()]
    first, second, *_ = (
        pod["metadata"]["name"] for pod in pods(plane) if pod["metadata"]["name"].startswith("gateway")
    )
    plane.kubectl("cordon", *names)
    try:
        assert evicted(plane, first) == 201
        until(lambda: ready(plane)["gateway"] == 2, "the first one is gone", PATIENCE_SECONDS)
        assert evicted(plane, second) == 429
    finally:
        plane.kubectl("uncordon", *names)
    until(lambda: ready(plane)["gateway"] == 3, "the successor is ready", PATIENCE_SECONDS)


def test_nodes_that_take_no_gateway_keep_none_from_the_others(plane: ControlPlane) -> None:
    """As those of the system's pool: with two nodes left for three gateways they would count as nodes without one."""
    tainted = [node.name for node in three_zones()][:-2]
    plane.kubectl("taint", "nodes", *tainted, "CriticalAddonsOnly=true:NoExecute")
    try:

        def moved() -> bool:
            found = nodes_of(plane, "gateway")
            return len(found) == 3 and not {*found} & {*tainted}

        until(moved, "every gateway is on one of the two others", 60)
        until(lambda: ready(plane)["gateway"] == 3, "every gateway is ready", PATIENCE_SECONDS)
    finally:
        plane.kubectl("taint", "nodes", *tainted, "CriticalAddonsOnly-")


def evicted(plane: ControlPlane, pod: str) -> int:
    """What the API server answers to a request to evict a pod, as a drain makes it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    return plane.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction", body).status_code


def test_a_pod_that_is_never_ready_holds_no_drain_up(plane: ControlPlane) -> None:
    """An upgrade would wait for it until somebody removes it by hand."""
    annotation = {"kwok.mlflow-platform/pod": "unready"}
    objects = service_objects(TRACKING, place(namespace=NAMESPACE))["pods"]
    template = objects["spec"]["template"]
    metadata = {**template["metadata"], "annotations": annotation}
    broken = {**objects, "spec": {**objects["spec"], "template": {**template, "metadata": metadata}}}
    plane.apply(broken)
    until(lambda: len(nodes_of(plane, "tracking")) == 3, "a pod of the new revision is there", PATIENCE_SECONDS)
    unready = [pod for pod in pods(plane) if pod["metadata"].get("annotations", {}).get(*annotation)]
    (node,) = {pod["spec"]["nodeName"] for pod in unready}
    assert node in plane.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
