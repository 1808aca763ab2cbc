"""Stacks with `compute: aks` on a real API server: who has which right in it, and what is asked of each."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.clusters import ApiServer
from delivery.offline_azure.product import Product
from delivery.offline_azure.running import Result, must
from delivery.preview import plan
from tests.end_to_end.azure.living import Cloud, done, failed, steps
from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.rights import OF_WHO_DEPLOYS
from tools.kubernetes import programs

# As "Azure Kubernetes Service RBAC Reader" is in it: it knows no admission policies.
READS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "looks"},
    "rules": [
        {"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]}
        for group, resources in {
            "": [
                *("configmaps", "endpoints", "events", "limitranges", "namespaces", "pods", "resourcequotas"),
                *("serviceaccounts", "services"),
            ],
            "apps": ["deployments", "replicasets"],
            "autoscaling": ["horizontalpodautoscalers"],
            "batch": ["cronjobs", "jobs"],
            "networking.k8s.io": ["networkpolicies"],
            "policy": ["poddisruptionbudgets"],
        }.items()
    ],
}
LOOKS = {
    **OF_WHO_DEPLOYS,
    "metadata": {"name": "looks"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looks"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "looks"}],
}
# What nothing that is exported may hold, besides the tokens of this run.
CREDENTIALS = re.compile(
    r"PRIVATE KEY|client-key-data|eyJ[\w-]{8,}\.|(?i:accountkey|sharedkey|password)\"?\s*[:=]\s*\"\w"
)
TOUCHED = {"blue-tracking-scaler": "update", "blue-compute-quota": "update"}


@contextlib.contextmanager
def started(**tokens: str) -> Iterator[ControlPlane]:
    """A Kubernetes with who deploys and who looks; `tokens` are theirs in another one."""
    with control_plane(programs.cached(), users={"deploy": [], "looks": []}, tokens=tokens) as made:
        made.apply(OF_WHO_DEPLOYS, READS, LOOKS)
        yield made


def stack_of(cloud: Cloud, plane: ControlPlane, name: str, **values: Any) -> Product:
    """A stack in a cluster whose API server is real."""
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-mlflow-{name}"
    for generation in ("blue", "green"):
        cluster = f"{group}/providers/Microsoft.ContainerService/managedClusters/aks-mlflow-{name}-{generation}"
        cloud.management.api_servers[cluster.lower()] = ApiServer(url=plane.server, authority=plane.ca.read_text())
    cloud.management.cluster_token = plane.tokens["deploy"]
    product = cloud.stack(name)
    product.environment["PATH"] = os.pathsep.join([plane.path, product.environment["PATH"]])
    product.configure(**values)
    return product


def outputs(product: Product) -> dict[str, Any]:
    return dict(json.loads(product.run("stack", "output", "--json").out))


def one_more_replica(plane: ControlPlane, product: Product) -> None:
    most = plane.get("hpa", "tracking", "-n", f"mlflow-{product.stack}")["spec"]["maxReplicas"]
    product.configure(tracking={"maxReplicas": most + 1})


def nothing_is_left(plane: ControlPlane, namespace: str) -> None:
    for kind in ("namespaces", "validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        assert namespace not in plane.kubectl("get", kind, "-o", "name")


def timed(what: str, command: Callable[[], Result]) -> None:
    """Run a command that has to succeed, and say how long it took."""
    began = time.monotonic()
    must(command())
    print(f"{what}: {time.monotonic() - began:.0f} s")


def who_may_only_look_changes_nothing(cloud: Cloud, plane: ControlPlane, product: Product) -> None:
    """They see in a preview what whoever deploys sees."""
    one_more_replica(plane, product)
    seen = steps(product.preview("--json"))
    cloud.management.cluster_token = plane.tokens["looks"]
    assert steps(product.preview("--json")) == seen == TOUCHED
    denied = failed(product.up())
    assert 'is forbidden: User "looks" cannot patch' in denied, denied
    cloud.management.cluster_token = plane.tokens["deploy"]
    assert done(product.up()) == dict.fromkeys(TOUCHED, "updated")


def an_update_of_the_cluster_replaces_neither_it_nor_the_way_in(product: Product) -> None:
    product.configure(tags={"owner": "another-team"})
    raw = product.preview(*plan.FLAGS)
    assert not {"access-blue", "cluster-blue"} & steps(raw).keys()
    previewed = {step.name: step.op for step in read(raw).changes}
    assert previewed["aks-blue-cluster"] is plan.Op.UPDATE
    # It takes values that are built from those of Azure, which nobody knows before the update: they are what they were.
    assert previewed.pop("blue-prepare-run") is plan.Op.REPLACE
    assert set(previewed.values()) == {plan.Op.UPDATE}
    updated = done(product.up())
    assert "aks-blue-cluster" in updated
    assert set(updated.values()) == {"updated"}


def read(preview: Result) -> plan.Plan:
    """The plan as `mlflow-platform preview` sees it."""
    return plan.read(json.loads(must(preview).text[preview.text.index("{") :]))
