"""A cluster of Azure's, the way to it, and a stack's namespace in it, as a Pulumi program."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes
from pulumi_azure_native import containerservice, resources

from components.azure.cluster_access import ClusterAccess
from components.compute.aks.backend import AksCompute, AksComputeArgs
from tests.components.compute.aks.places import place

NAMESPACE = "mlflow-reached"


def main() -> None:
    group = resources.ResourceGroup("group", resource_group_name="rg-shop", location="westeurope")
    cluster = containerservice.ManagedCluster(
        "aks",
        resource_name_="aks-shop-blue",
        resource_group_name=group.name,
        location="westeurope",
        dns_prefix="shop",
        oidc_issuer_profile=containerservice.ManagedClusterOIDCIssuerProfileArgs(enabled=True),
    )
    access = ClusterAccess(
        "access",
        cluster_id=cluster.id,
        issuer=cluster.id.apply(lambda _: cluster.oidc_issuer_profile.apply(lambda of: str(of and of.issuer_url))),
        namespace=NAMESPACE,
    )
    provider = pulumi_kubernetes.Provider(
        "cluster",
        kubeconfig=access.kubeconfig(["mlflow-platform", "kubernetes-token"]),
        cluster_identifier="shop-blue",
        enable_server_side_apply=True,
        opts=pulumi.ResourceOptions(depends_on=[access]),
    )
    AksCompute(
        "compute",
        AksComputeArgs(
            provider=provider,
            server=access.server,
            authority=access.authority,
            place=place(namespace=NAMESPACE),
            requires=[access],
        ),
    )
