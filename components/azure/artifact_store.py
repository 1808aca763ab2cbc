"""Blob storage for artifacts: an account with one container."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import storage

from components.azure import storage_account
from components.azure.artifact_store_args import ArtifactStoreArgs, Lifecycle, Redundancy
from components.azure.lock import lock

__all__ = ["ArtifactStore", "ArtifactStoreArgs", "Lifecycle", "Redundancy"]

_CORS_SECONDS = 3600

_SKUS = {
    Redundancy.LOCAL: storage.SkuName.STANDARD_LRS,
    Redundancy.ZONE: storage.SkuName.STANDARD_ZRS,
    Redundancy.GEO_ZONE: storage.SkuName.STANDARD_GZRS,
}


class ArtifactStore(pulumi.ComponentResource):
    """An account and a container whose blobs are reached with Entra identities over the virtual network alone.

    Overwritten and deleted artifacts can be brought back: versions, and soft delete of blobs and containers. It refuses
    account keys (and so every SAS but one that an identity signed), public blobs, SFTP and local users, TLS below 1.2,
    replication and copies to other tenants, and the hierarchical namespace, which has no versions. Blobs are encrypted
    twice. Encryption, the namespace, the location and the name are fixed when the account is made.

    What else is made on the account, such as a private endpoint, waits for the whole store: Azure does one operation on
    an account at a time. It makes no role assignment: `container_id` is the least scope for them. The log says who
    read, wrote and deleted which blob. URLs are those of the public cloud.

        store = ArtifactStore("store", ArtifactStoreArgs(
            account_name="stshopprodx7k2", resource_group_name=group.name, location="westeurope", tags=tags,
            protect=True, redundancy=Redundancy.ZONE, public_origin="https://shop.example.com",
            workspace_id=monitoring.workspace_id,
        ))
        assign("artifacts-write", scope=store.container_id, principal_id=principal_id,
               role=AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, subscription_id=subscription_id, parent=store)

    Sources: Microsoft Learn, "Azure storage redundancy", "Soft delete for blobs", "Blob versioning", "Azure Blob
    Storage lifecycle management overview", "Put Block", "Enable infrastructure encryption for double encryption of
    data", "Supported metrics for Microsoft.Storage/storageAccounts".
    """

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    container_id: pulumi.Output[str]
    container_url: pulumi.Output[str]

    def __init__(self, name: str, args: ArtifactStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:ArtifactStore", name, {}, opts)
        account = self._account(name, args)
        service = self._blob_service(name, args, account)
        container = storage.BlobContainer(
            f"{name}-container",
            account_name=account.name,
            resource_group_name=args.resource_group_name,
            container_name=args.container_name,
            public_access=storage.PublicAccess.NONE,
            # Hidden edge: what is written before versions and soft delete are on has neither.
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect, depends_on=[service]),
        )
        policy = storage.ManagementPolicy(
            f"{name}-lifecycle",
            account_name=account.name,
            resource_group_name=args.resource_group_name,
            management_policy_name="default",
            policy=storage.ManagementPolicySchemaArgs(rules=_rules(args)),
            # Hidden edge: a rule on versions is about an account that has them. And one after the other, like all that
            # is made in an account or on it: a second operation gets 409 StorageAccountOperationInProgress, which the
            # provider does not repeat.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[service, container]),
        )
        settings = storage_account.log(name, account, service, workspace_id=args.workspace_id, parent=self)
        if args.protect:
            lock(f"{name}-lock", scope=account.id, parent=self, over=[container, policy, *settings])
        self.id = account.id
        self.name = account.name
        self.container_id = container.id
        self.container_url = pulumi.Output.concat(
            "https://", account.name, ".blob.core.windows.net/", args.container_name
        )
        self.register_outputs(
            {
                "id": self.id,
                "name": self.name,
                "container_id": self.container_id,
                "container_url": self.container_url,
            }
        )

    def _account(self, name: str, args: ArtifactStoreArgs) -> storage.StorageAccount:
        return storage_account.create(
            f"{name}-account",
            account_name=args.account_name,
            resource_group_name=args.resource_group_name,
            location=args.location,
            tags=args.tags,
            sku=_SKUS[args.redundancy],
            # Service endpoints arrive at the public address, which the rules below open to their subnets alone.
            public=bool(args.subnet_ids),
            network=storage.NetworkRuleSetArgs(
                default_action=storage.DefaultAction.DENY,
                # Azure's lifecycle management is one of its trusted services and would be shut out otherwise.
                bypass=storage.Bypass.AZURE_SERVICES,
                ip_rules=[],
                virtual_network_rules=[
                    storage.VirtualNetworkRuleArgs(virtual_network_resource_id=subnet, action=storage.Action.ALLOW)
                    for subnet in args.subnet_ids
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )

    def _blob_service(
        self, name: str, args: ArtifactStoreArgs, account: storage.StorageAccount
    ) -> storage.BlobServiceProperties:
        return storage.BlobServiceProperties(
            f"{name}-blob-service",
            account_name=account.name,
            resource_group_name=args.resource_group_name,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=storage.DeleteRetentionPolicyArgs(
                enabled=True, days=args.blob_soft_delete_days, allow_permanent_delete=False
            ),
            container_delete_retention_policy=storage.DeleteRetentionPolicyArgs(
                enabled=True, days=args.container_soft_delete_days
            ),
            cors=storage.CorsRulesArgs(cors_rules=_cors(args.public_origin)),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _cors(origin: pulumi.Input[str] | None) -> list[storage.CorsRuleArgs]:
    """Pages of the platform read artifacts; uploads straight to Blob come from Python, which CORS is not for."""
    if origin is None:
        return []
    methods = storage.AllowedMethods
    return [
        storage.CorsRuleArgs(
            allowed_origins=[origin],
            allowed_methods=[methods.GET, methods.HEAD, methods.OPTIONS],
            allowed_headers=["range", "x-ms-*"],
            exposed_headers=["content-length", "content-range", "etag", "x-ms-request-id"],
            max_age_in_seconds=_CORS_SECONDS,
        )
    ]


def _rules(args: ArtifactStoreArgs) -> list[storage.ManagementPolicyRuleArgs]:
    ages = args.lifecycle
    gone = storage.DateAfterCreationArgs(days_after_creation_greater_than=ages.old_versions_after)
    rules = {
        "old-versions": storage.ManagementPolicyActionArgs(
            version=storage.ManagementPolicyVersionArgs(delete=gone),
            snapshot=storage.ManagementPolicySnapShotArgs(delete=gone),
        )
    }
    if ages.cool_after is not None or ages.cold_after is not None:
        rules["tiers-by-age"] = storage.ManagementPolicyActionArgs(
            base_blob=storage.ManagementPolicyBaseBlobArgs(
                tier_to_cool=_since_last_write(ages.cool_after), tier_to_cold=_since_last_write(ages.cold_after)
            )
        )
    return [
        storage.ManagementPolicyRuleArgs(
            name=name,
            enabled=True,
            type=storage.RuleType.LIFECYCLE,
            definition=storage.ManagementPolicyDefinitionArgs(
                actions=actions,
                filters=storage.ManagementPolicyFilterArgs(
                    blob_types=["blockBlob"], prefix_match=[f"{args.container_name}/"]
                ),
            ),
        )
        for name, actions in rules.items()
    ]


def _since_last_write(days: int | None) -> storage.DateAfterModificationArgs | None:
    return None if days is None else storage.DateAfterModificationArgs(days_after_modification_greater_than=days)
