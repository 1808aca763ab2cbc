"""Where Pulumi keeps the state of stacks: an account with a container for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import storage

from components.azure import storage_account
from components.azure.lock import lock

# An account's categories are this one and Capacity, whose one metric Azure does not export.


@dataclass(frozen=True, kw_only=True)
class StateStoreArgs:
    """`containers` are plain, one for each stack; `protect`, the lock, too. `account_name`: as Azure takes it.

    `workspace_id` is where logs and metrics go. Soft delete is in days, and versions are kept as long.
    """

    account_name: str
    resource_group_name: pulumi.Input[str]
    location: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    containers: Sequence[str]
    zone_redundant: bool = True
    protect: bool = True
    soft_delete_days: int = 30


class StateStore(pulumi.ComponentResource):
    """An account whose blobs are states, each stack's in a container of its own.

    Who may read or write a state has a role on its container; there is no key. Its address is public, since who runs a
    stack comes from anywhere, such as a hosted workflow. Overwritten and deleted states can be brought back.

        store = StateStore("state", StateStoreArgs(
            account_name="stshopstatex7k2", resource_group_name=group.name, location="westeurope", tags=tags,
            containers=["pulumi-dev"], workspace_id=monitoring.workspace_id,
        ))
        assign("deploy-state", scope=store.container_ids["pulumi-dev"], role=AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, …)

    Sources: Pulumi, "Managing state and backends" (azblob://CONTAINER and its sign-in); Microsoft Learn, "Soft delete
    for blobs", "Blob versioning".
    """

    name: pulumi.Output[str]
    container_ids: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: StateStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:StateStore", name, {}, opts)
        account = storage_account.create(
            f"{name}-account",
            account_name=args.account_name,
            resource_group_name=args.resource_group_name,
            location=args.location,
            tags=args.tags,
            sku=storage.SkuName.STANDARD_ZRS if args.zone_redundant else storage.SkuName.STANDARD_LRS,
            public=True,
            network=storage.NetworkRuleSetArgs(
                default_action=storage.DefaultAction.ALLOW,
                bypass=storage.Bypass.AZURE_SERVICES,
                ip_rules=[],
                virtual_network_rules=[],
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        kept = storage.DeleteRetentionPolicyArgs(enabled=True, days=args.soft_delete_days)
        service = storage.BlobServiceProperties(
            f"{name}-blob-service",
            account_name=account.name,
            resource_group_name=args.resource_group_name,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=kept,
            container_delete_retention_policy=kept,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # One after the other: Azure answers a second operation on an account with StorageAccountOperationInProgress.
        previous: list[pulumi.Resource] = [service]
        containers = {}
        for container in args.containers:
            containers[container] = storage.BlobContainer(
                f"{name}-{container}",
                account_name=account.name,
                resource_group_name=args.resource_group_name,
                container_name=container,
                public_access=storage.PublicAccess.NONE,
                opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=previous),
            )
            previous = [containers[container]]
        logged = storage_account.log(name, account, service, workspace_id=args.workspace_id, parent=self)
        if args.protect:
            lock(f"{name}-lock", scope=account.id, parent=self, over=[*containers.values(), *logged])
        self.name = account.name
        self.container_ids = {container: made.id for container, made in containers.items()}
        self.register_outputs({"name": self.name, "container_ids": self.container_ids})
