"""What a bootstrap stack has made for another stack, on an offline Azure where no bootstrap stack was brought up."""

from __future__ import annotations

from components.mlflow.roles import Role
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from infra.naming import Names, unique_suffix


def provide(azure: Azure, stack: str, location: str) -> None:
    """Create the resource groups and the identities that a stack with `bootstrappedBy` looks up."""
    names = Names(stack=stack, suffix=unique_suffix(SUBSCRIPTION, stack))
    for group in (names.resource_group, names.identity_group):
        azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": group, "location": location})
    for role in Role:
        identity = {"resourceName": names.identity(role), "resourceGroupName": names.identity_group}
        azure.create("azure-native:managedidentity:UserAssignedIdentity", {**identity, "location": location})
