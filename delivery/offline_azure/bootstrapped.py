"""What a bootstrap stack has made for another stack, on an offline Azure where no bootstrap stack was brought up."""

from __future__ import annotations

from components.mlflow.roles import Role
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from infra.naming import Names, unique_suffix
from infra.settings.aks import Generation


def provide(azure: Azure, stack: str, location: str) -> None:
    """Create the resource groups and the identities that a stack with `bootstrappedBy` looks up, in a cluster too."""
    names = Names(stack=stack, suffix=unique_suffix(SUBSCRIPTION, stack))
    for group in (names.resource_group, names.identity_group):
        azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": group, "location": location})
    of_cluster = [names.cluster_identity("nodes"), *(names.cluster_identity("control", each) for each in Generation)]
    for identity_name in (*map(names.identity, Role), *of_cluster):
        identity = {"resourceName": identity_name, "resourceGroupName": names.identity_group}
        azure.create("azure-native:managedidentity:UserAssignedIdentity", {**identity, "location": location})
