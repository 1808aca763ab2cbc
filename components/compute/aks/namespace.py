"""The namespace of a stack: what may be in it, how much of it, and who may talk before a workload says more. Pure.

Sources: Kubernetes, "Pod Security Admission", "Resource Quotas", "Limit Ranges", "Validating Admission Policy".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi

from components.compute.aks.network import refusal
from components.compute.aks.place import Place
from components.compute.aks.quantities import cores, mebibytes

_LEVEL = "restricted"
_INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
_ADMISSION = "admissionregistration.k8s.io/v1"


def namespace_objects(place: Place) -> Mapping[str, Mapping[str, Any]]:
    """Return the objects of the namespace itself, by the end of their resources' names, in the order of creation."""
    return {
        "namespace": _namespace(place),
        "refusal": refusal(place),
        "quota": _quota(place),
        "sizes": _sizes(place),
        **_admission(place),
    }


def _namespace(place: Place) -> dict[str, Any]:
    modes = {f"pod-security.kubernetes.io/{mode}": _LEVEL for mode in ("enforce", "audit", "warn")}
    versions = {f"{mode}-version": "latest" for mode in modes}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": modes | versions}}


def _quota(place: Place) -> dict[str, Any]:
    """What the workloads need, so that nobody's pod beside them takes more of the nodes; one load balancer."""
    memory = mebibytes(place.quota.memory_mib)
    hard = {
        "pods": str(place.quota.pods),
        "requests.cpu": cores(place.quota.cpu),
        "requests.memory": memory,
        "limits.memory": memory,
        "services.loadbalancers": "1",
    }
    return _object("v1", "ResourceQuota", place, "workloads", {"hard": hard})


def _sizes(place: Place) -> dict[str, Any]:
    """For a container that says nothing: a quota refuses it otherwise. Those of the workloads say everything."""
    small = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "128Mi"}
    limits = [{"type": "Container", "default": small, "defaultRequest": dict(small)}]
    return _object("v1", "LimitRange", place, "containers", {"limits": limits})


def _admission(place: Place) -> dict[str, dict[str, Any]]:
    """Only images of the stack's registry, by their digest, and no address on the internet unless that is wanted.

    One policy for each kind of object: the API server checks an expression against every kind that it is for.
    """
    found = {
        "images": (
            ["pods", "pods/ephemeralcontainers"],
            _with(place.image.server, _only_images_of),
            "images: expected only those of the stack's registry, each by its digest",
        )
    }
    if not place.frontend.public:
        found["addresses"] = (
            ["services"],
            "object.spec.type != 'LoadBalancer' || (has(object.metadata.annotations) && "
            f"'{_INTERNAL}' in object.metadata.annotations && object.metadata.annotations['{_INTERNAL}'] == 'true')",
            f"load balancer: expected the annotation {_INTERNAL} with the value true",
        )
    made: dict[str, dict[str, Any]] = {}
    for key, (resources, expression, message) in found.items():
        made[key] = _policy(place, key, resources, {"expression": expression, "message": message})
        made[f"{key}-binding"] = _binding(place, key)
    return made


def _policy(place: Place, key: str, resources: Sequence[str], validation: Mapping[str, Any]) -> dict[str, Any]:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": list(resources),
        "operations": ["CREATE", "UPDATE"],
    }
    return {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": _policy_name(place, key)},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [dict(validation)],
        },
    }


def _only_images_of(server: str) -> str:
    """The condition on a pod: each of its images, of whichever list of containers."""
    image = f"c.image.startsWith('{server}/') && c.image.matches('@sha256:[0-9a-f]{{64}}$')"
    lists = [f"object.spec.containers.all(c, {image})"]
    lists += [
        f"(!has(object.spec.{field}) || object.spec.{field}.all(c, {image}))"
        for field in ("initContainers", "ephemeralContainers")
    ]
    return " && ".join(lists)


def _binding(place: Place, key: str) -> dict[str, Any]:
    """The policy is the cluster's; this is where it holds."""
    here = {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    return {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": _policy_name(place, key)},
        "spec": {
            "policyName": _policy_name(place, key),
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": here},
        },
    }


def _with(value: pulumi.Input[str], make: Callable[[str], str]) -> pulumi.Input[str]:
    """A plain text for a plain value."""
    return make(value) if isinstance(value, str) else pulumi.Output.concat(value).apply(make)


def _policy_name(place: Place, key: str) -> str:
    """The policies are the cluster's, so the namespace is in their names."""
    return f"{place.namespace}-{key}"


def _object(version: str, kind: str, place: Place, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": place.namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": dict(spec)}
