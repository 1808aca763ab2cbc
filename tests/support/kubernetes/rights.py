"""Rights in a cluster, as Azure's roles give them."""

from __future__ import annotations

from typing import Any, Final

# As Azure's role "Azure Kubernetes Service RBAC Cluster Admin" is in the cluster.
OF_WHO_DEPLOYS: Final[dict[str, Any]] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "deploy"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "deploy"}],
}
