"""A cluster of another owner: what workloads with identities of their own need of it is checked, and nothing changed.

Sources: azure-rest-api-specs, Microsoft.ContainerService 2025-09-01, ManagedClusters_Get; Microsoft Learn, "Use
Microsoft Entra Workload ID with AKS" (issuer), "Secure traffic between pods by using network policies in AKS" (without
an engine policies are taken and hold nothing back), "Use managed identities in AKS" (the kubelet's identity pulls).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.azure.arm import Arm, ArmError
from components.compute.dynamic import Provider

API_VERSION = "2025-09-01"
_ENGINES = ("cilium", "azure", "calico")
_FAILED = ("Failed", "Canceled")


class ExistingClusterError(RuntimeError):
    """A cluster lacks what workloads need. The message says what, and what its owner does."""


def lacks(cluster: Mapping[str, Any], networks: Sequence[str]) -> list[str]:
    """Return what a cluster, as Azure answers it, lacks. `networks` resolve the stack's private names."""
    properties = cluster.get("properties") or {}
    found = [said] if (said := _not_ready(properties)) else []
    if not (_at(properties, "oidcIssuerProfile", "enabled") and _at(properties, "oidcIssuerProfile", "issuerURL")):
        found.append("an OIDC issuer: az aks update --enable-oidc-issuer")
    if not _at(properties, "securityProfile", "workloadIdentity", "enabled"):
        found.append("workload identity: az aks update --enable-workload-identity")
    if _at(properties, "networkProfile", "networkPolicy") not in _ENGINES:
        found.append("a network policy engine: az aks update --network-policy cilium --network-dataplane cilium")
    if not (_at(properties, "aadProfile", "managed") and _at(properties, "aadProfile", "enableAzureRBAC")):
        found.append("sign-in and rights by Entra: az aks update --enable-aad --enable-azure-rbac")
    if not _kubelet(properties):
        found.append("an identity that pulls images: az aks update --enable-managed-identity")
    return [*found, *_out_of_networks(properties, networks)]


def _not_ready(properties: Mapping[str, Any]) -> str:
    """What keeps a cluster from running pods now; its last change says nothing of whether it runs."""
    state = str(properties.get("provisioningState"))
    if _at(properties, "powerState", "code") == "Stopped":
        return "running nodes: az aks start"
    if state == "Succeeded":
        return ""
    if state in _FAILED:
        return f"a change that succeeded, the last one is {state}: az aks show"
    return f"the end of its change, {state}: wait for it"


def _out_of_networks(properties: Mapping[str, Any], networks: Sequence[str]) -> list[str]:
    """The nodes' networks that do not resolve the private names of database, blobs, vault and registry."""
    subnets = {str(pool.get("vnetSubnetID") or "") for pool in properties.get("agentPoolProfiles") or []}
    if "" in subnets:
        return ["nodes in a network of its owner's, which can be peered: create the cluster with --vnet-subnet-id"]
    known = {network.lower() for network in networks}
    used = {subnet.partition("/subnets/")[0] for subnet in subnets}
    return [
        f"a route to the data: peer {network} with the stack's network, and name it in the stack's client networks"
        for network in sorted(used)
        if network.lower() not in known
    ]


def _kubelet(properties: Mapping[str, Any]) -> str:
    return str(_at(properties, "identityProfile", "kubeletidentity", "objectId") or "")


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


class ExistingClusterProvider(Provider):
    """Looks at the cluster, in each preview and update. There is nothing to delete: the cluster is its owner's."""

    errors = (ExistingClusterError, ArmError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["cluster_id"], props | self._seen(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(news | self._seen(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        renamed = olds.get("generation", "") != news["generation"]
        # Azure's ids ignore case.
        if olds["cluster_id"].lower() != news["cluster_id"].lower():
            return DiffResult(changes=True, replaces=["cluster_id"])
        with self.message_only():
            # The state of an earlier version knows no namespace.
            if renamed and olds.get("namespace") == news["namespace"]:
                raise ExistingClusterError(
                    f"Cluster {_name(news)}, namespace {news['namespace']}: got other names for what runs there, where "
                    f"it would be created a second time; expected the same names. {news['beside']}"
                )
        compared = {"networks": news["networks"], **self._seen(news)}
        return DiffResult(changes=renamed or any(olds.get(key) != value for key, value in compared.items()))

    def _seen(self, props: Mapping[str, Any]) -> dict[str, str]:
        with self.message_only():
            cluster = Arm(api_version=API_VERSION).get(str(props["cluster_id"])).body
            if missing := lacks(cluster, props["networks"]):
                raise ExistingClusterError(
                    f"Cluster {_name(props)}: lacks {'; '.join(missing)}. Its owner changes it; "
                    "nothing was changed here. Then run `up` again."
                )
            properties = cluster["properties"]
            return {"issuer": properties["oidcIssuerProfile"]["issuerURL"], "principal_id": _kubelet(properties)}


def _name(props: Mapping[str, Any]) -> str:
    return str(props["cluster_id"]).rsplit("/", 1)[-1]


class ExistingCluster(Resource, name="ExistingCluster", module="aks"):
    """A cluster that has what workloads need. `networks` are those that resolve the private names of their data.

    One name is enough for a program: it is looked at, and another one in its place changes nothing of either.
    What is in `namespace` has names with the word `generation`: another word without another cluster or namespace is
    refused, `beside` says what to do then. Whoever runs the program reads the cluster (Reader), gets its address and
    signs in to it; see `ClusterAccess`, which refuses the reverse.

        cluster = ExistingCluster(
            "cluster", cluster_id="/subscriptions/...", namespace="shop", networks=["/subscriptions/..."]
        )
    """

    cluster_id: pulumi.Output[str]
    issuer: pulumi.Output[str]
    """Who signs the tokens of its pods."""
    principal_id: pulumi.Output[str]
    """Of the identity with which its nodes pull images."""

    def __init__(
        self,
        name: str,
        *,
        cluster_id: str,
        namespace: str,
        networks: Sequence[str],
        generation: str = "",
        beside: str = "Set them back.",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "cluster_id": cluster_id,
            "namespace": namespace,
            "networks": list(networks),
            "generation": generation,
            "beside": beside,
            "issuer": None,
            "principal_id": None,
        }
        super().__init__(ExistingClusterProvider(), name, inputs, opts)
