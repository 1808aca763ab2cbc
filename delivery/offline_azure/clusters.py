"""What Azure says of a cluster beside the resource itself: the way to it, and each of its pools.

The kubeconfig has no credential, as the cluster has no local accounts. A pool that its cluster was created with is no
resource of its own, and answers like one.

Source: azure-rest-api-specs, Microsoft.ContainerService 2025-09-01, ManagedClusters_ListClusterUserCredentials,
AgentPools_Get and AgentPools_CreateOrUpdate; the form of the kubeconfig is that of `az aks get-credentials --format
exec`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from delivery.azure_types.type_tokens import CLUSTER
from delivery.offline_azure.addresses import own_name
from delivery.offline_azure.computed_outputs import computed

SERVER_APPLICATION = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Entra's id of every AKS cluster; Microsoft Learn, "Use kubelogin to authenticate in AKS"."""

# Nobody trusts it: there is no server behind the name.
_NO_AUTHORITY = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"


_POOL = re.compile(r"(/.+/managedClusters/[^/]+)/agentPools/([^/]+)", re.IGNORECASE)


class ApiServer(NamedTuple):
    """A real API server: its address, and in PEM who vouches for its certificate."""

    url: str
    authority: str


def credentials(cluster: Mapping[str, Any], server: ApiServer | None) -> dict[str, Any]:
    """Return Azure's answer for a cluster."""
    name = own_name(cluster["id"])
    host = computed(cluster["type"], cluster["id"], cluster["inputs"])["fqdn"]
    url = server.url if server else f"https://{host}:443"
    authority = base64.b64encode(server.authority.encode()).decode() if server else _NO_AUTHORITY
    arguments = ["get-token", "--login", "devicecode", "--server-id", SERVER_APPLICATION]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "args": arguments}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "clusterUser"}}],
        "current-context": name,
        "users": [{"name": "clusterUser", "user": {"exec": plugin}}],
    }
    value = base64.b64encode(yaml.safe_dump(document).encode()).decode()
    return {"kubeconfigs": [{"name": "clusterUser", "value": value}]}


def pool(resources: Mapping[str, Mapping[str, Any]], path: str) -> dict[str, Any] | None:
    """Return the inputs, to be changed in place, of a pool that its cluster was created with; None for another path."""
    found = _POOL.fullmatch(path)
    cluster = resources.get(found[1].lower()) if found else None
    if found is None or cluster is None or cluster["type"] != CLUSTER:
        return None
    profiles = cluster["inputs"].get("agentPoolProfiles") or []
    return next((each for each in profiles if str(each.get("name")).lower() == found[2].lower()), None)
