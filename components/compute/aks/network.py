"""Who may talk to which peer in a namespace: a refusal of everything, and one policy for each workload. Pure.

On Cilium a range of addresses never matches a pod or a node of the cluster, so peers in it are named by their labels.
Traffic from the node itself, such as the kubelet's probes, always passes. Sources: Kubernetes, "Network Policies";
Microsoft Learn, "Configure Azure CNI Powered by Cilium in AKS" (limits of ipBlock).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.compute.aks.labels import CALLS_SERVICES, SERVICE, labels, selector
from components.compute.aks.place import PRIVATE_RANGES, Place
from components.compute.contract import Destination, Ingress, JobSpec, ServiceSpec

POSTGRES_PORT = 5432
HTTPS_PORT = 443

# Entra has no fixed addresses: all of the internet but what is private, or the node's own metadata.
_NOT_INTERNET = (*PRIVATE_RANGES, "169.254.0.0/16")


def refusal(place: Place) -> Mapping[str, Any]:
    """Return the policy that refuses what no other one allows, both ways."""
    return _policy("refuse-all", place, {}, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def policy_of(spec: ServiceSpec | JobSpec, place: Place) -> Mapping[str, Any]:
    """Return the policy of one workload's pods."""
    return _policy(
        spec.name,
        place,
        labels(spec),
        {
            "podSelector": selector(spec.name),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _entering(spec, place),
            "egress": [_names(), *(_leaving(destination, place) for destination in sorted(spec.calls))],
        },
    )


def _entering(spec: ServiceSpec | JobSpec, place: Place) -> list[dict[str, Any]]:
    if isinstance(spec, JobSpec) or spec.ingress is Ingress.NONE:
        return []
    if spec.ingress is Ingress.INTERNAL:
        callers: list[dict[str, Any]] = [{"podSelector": {"matchLabels": dict(CALLS_SERVICES)}}]
    else:
        callers = [{"ipBlock": {"cidr": given}} for given in place.frontend.client_ranges]
    return [{"from": callers, "ports": [_tcp(spec.port)]}]


def _leaving(destination: Destination, place: Place) -> dict[str, Any]:
    match destination:
        case Destination.SERVICES:
            # Without a port: each service's own policy says which.
            return {"to": [{"podSelector": {"matchLabels": dict(SERVICE)}}]}
        case Destination.DATABASE:
            return {"to": [{"ipBlock": {"cidr": place.database}}], "ports": [_tcp(POSTGRES_PORT)]}
        case Destination.STORES:
            return {"to": [{"ipBlock": {"cidr": place.stores}}], "ports": [_tcp(HTTPS_PORT)]}
        case Destination.SIGN_IN:
            internet = {"cidr": "0.0.0.0/0", "except": list(_NOT_INTERNET)}
            return {"to": [{"ipBlock": internet}], "ports": [_tcp(HTTPS_PORT)]}


def _names() -> dict[str, Any]:
    """The cluster's DNS."""
    system = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    return {
        "to": [{"namespaceSelector": system, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"protocol": "UDP", "port": 53}, _tcp(53)],
    }


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


def _policy(name: str, place: Place, labelled: Mapping[str, str], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = {"name": name, "namespace": place.namespace, **({"labels": dict(labelled)} if labelled else {})}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": dict(spec)}
