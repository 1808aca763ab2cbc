"""A network, a cluster in it and an identity that its pods act as, out of the components, for a test of the whole."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_azure_native import authorization, operationalinsights, resources

from components.azure.aks_cluster import AksCluster, AksClusterArgs, ClusterIdentities
from components.azure.aks_node_pool import NodePool
from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from components.azure.network import Network, NetworkArgs
from components.azure.network_plan import AKS_SUBNETS, SubnetRole

config = pulumi.Config()
client = authorization.get_client_config()
group = resources.ResourceGroup("group", resource_group_name="rg-shop", location="westeurope")
placed: dict[str, Any] = {"location": "westeurope", "resource_group_name": group.name, "tags": {"owner": "platform"}}
workspace = operationalinsights.Workspace("logs", workspace_name="log-shop", **placed)
network = Network(
    "network",
    NetworkArgs(
        **placed, network_name="vnet-shop", cidr="10.20.0.0/24", workspace_id=workspace.id, subnets=AKS_SUBNETS
    ),
)
plane, nodes, api = (
    Identity(name, IdentityArgs(**placed, identity_name=f"id-shop-{name}")) for name in ("plane", "nodes", "api")
)
cluster = AksCluster(
    "aks",
    AksClusterArgs(
        **placed,
        cluster_name="aks-shop-blue",
        kubernetes_version=config.get("version") or "1.35",
        workspace_id=workspace.id,
        subscription_id=client.subscription_id,
        tenant_id=client.tenant_id,
        node_subnet_id=network.subnet_ids[SubnetRole.AKS_NODES],
        api_subnet_id=network.subnet_ids[SubnetRole.AKS_API],
        ingress_subnet_id=network.subnet_ids[SubnetRole.AKS_INGRESS],
        identities=ClusterIdentities(
            control_plane_id=plane.id,
            control_plane_principal_id=plane.principal_id,
            kubelet_id=nodes.id,
            kubelet_client_id=nodes.client_id,
            kubelet_principal_id=nodes.principal_id,
        ),
        system=NodePool(
            name="system", vm_size=config.get("size") or "Standard_D2ads_v5", maximum=int(config.get("nodes") or 3)
        ),
        workloads=[NodePool(name="work")] if config.get("work") else [],
    ),
)
for account in ("web", "jobs"):
    api.federate(
        FederatedSubject.service_account(
            issuer=cluster.issuer, namespace="shop", account=account, cluster="aks-shop-blue"
        )
    )
pulumi.export("issuer", cluster.issuer)
