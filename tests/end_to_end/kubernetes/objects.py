"""Small objects of Kubernetes that Pod Security `restricted` admits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DIGEST: Final = f"registry.example/mlflow@sha256:{'0' * 64}"

RESTRICTED: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def namespace(name: str) -> dict[str, Any]:
    """A namespace with Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def template(
    app: str,
    *,
    annotations: Mapping[str, str] | None = None,
    image: str = DIGEST,
    restricted: bool = True,
    **spec: Any,
) -> dict[str, Any]:
    """Metadata and spec of pods of one application. `spec` goes into the pods' own."""
    container = {"name": app, "image": image, "securityContext": dict(RESTRICTED) if restricted else {}}
    return {
        "metadata": {"labels": {"app": app}, "annotations": dict(annotations or {})},
        "spec": {"containers": [container], **spec},
    }


def pod(space: str, name: str, **given: Any) -> dict[str, Any]:
    """One pod."""
    made = template(name, **given)
    metadata = {**made["metadata"], "name": name, "namespace": space}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}


def deployment(space: str, name: str, *, replicas: int, **given: Any) -> dict[str, Any]:
    """Replicas over the zones, of which a roll-out takes none away before another is ready."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": name}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template(name, topologySpreadConstraints=[spread], **given),
        },
    }


def job(space: str, name: str, **given: Any) -> dict[str, Any]:
    """A job that is tried once."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": space},
        "spec": {"backoffLimit": 0, "template": template(name, restartPolicy="Never", **given)},
    }


def around(space: str, name: str) -> list[dict[str, Any]]:
    """Service, autoscaler and disruption budget of a deployment."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    metadata = {"name": name, "namespace": space, "labels": {"app": name}}
    chosen = {"app": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": chosen, "ports": [{"port": 8080}]},
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 6, "metrics": [cpu]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": chosen}},
        },
    ]
