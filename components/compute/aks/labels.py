"""The labels of a workload's objects, and what selects its pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from components.compute.contract import Destination, Ingress, JobSpec, ServiceSpec

CALLS_SERVICES: Mapping[str, str] = {"calls-services": "true"}
"""Pods that may call the services with internal ingress."""

SERVICE: Mapping[str, str] = {"ingress": Ingress.INTERNAL.value}
"""Pods of a service with internal ingress."""


def labels(spec: ServiceSpec | JobSpec) -> dict[str, str]:
    """Return the labels of every object of a workload."""
    return {"app.kubernetes.io/name": spec.name, "app.kubernetes.io/component": str(spec.role)}


def pod_labels(spec: ServiceSpec | JobSpec) -> dict[str, str]:
    """Return the labels of a workload's pods: those by which network policies find them, too."""
    calls = CALLS_SERVICES if Destination.SERVICES in spec.calls else {}
    serves = SERVICE if isinstance(spec, ServiceSpec) and spec.ingress is Ingress.INTERNAL else {}
    return {**labels(spec), **calls, **serves}


def selector(name: str) -> dict[str, dict[str, str]]:
    """Return what selects a workload's pods. A Deployment's can never be changed."""
    return {"matchLabels": {"app.kubernetes.io/name": name}}
