"""Blob storage for MLflow's artifacts: an account with one container."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_azure_native import storage

from components.azure.lock import lock

_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}\Z")
_CONTAINER_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
_ORIGIN = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?\Z")
_CORS_SECONDS = 3600


class Redundancy(enum.StrEnum):
    """Where the copies of a blob are."""

    LOCAL = "local"
    ZONE = "zone"
    GEO_ZONE = "geo-zone"


_SKUS = {
    Redundancy.LOCAL: storage.SkuName.STANDARD_LRS,
    Redundancy.ZONE: storage.SkuName.STANDARD_ZRS,
    Redundancy.GEO_ZONE: storage.SkuName.STANDARD_GZRS,
}


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """What becomes of ageing artifacts, in days; None switches a tier off.

    `cool_after` and `cold_after` count from the last write of an artifact; both tiers answer at once, for less storage
    and more access cost. The archive tier is not offered: reading from it takes hours, and MLflow would answer errors.
    No current artifact is ever deleted by age. `old_versions_after` counts from when an overwritten or deleted
    content was written, not from its replacement, and what it removes stays in soft delete. Snapshots go likewise.

    Aborted uploads need no rule, and none could be written: a policy sees only committed blobs, while Azure drops
    blocks that were never committed by itself, a week after the last of them.
    """

    cool_after: int | None = 90
    cold_after: int | None = 365
    old_versions_after: int = 90

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        for name in ("cool_after", "cold_after", "old_versions_after"):
            days = getattr(self, name)
            if days is not None and days < 1:
                yield f"Lifecycle.{name}: {days} days; at least 1 is needed. Raise it."
        if self.cool_after is not None and self.cold_after is not None and self.cold_after <= self.cool_after:
            yield (
                f"Lifecycle.cold_after: {self.cold_after} days is not after cool_after, {self.cool_after}; nothing "
                "would be in the cool tier. Raise it, or set cool_after=None."
            )


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """What makes an artifact store.

    `protect` (the lock), `redundancy`, `lifecycle` and `public_origin` are plain, and so is the number of `subnet_ids`:
    the subnets with the service endpoint Microsoft.Storage that may reach the account; without any, only private
    endpoints reach it. `public_origin` is the platform's own web origin, such as https://mlflow.example.com, whose
    pages may read blobs; None lets no page do so. Soft delete is in days. Raises ValueError with every problem at once.
    """

    account_name: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    location: pulumi.Input[str]
    tags: Mapping[str, str]
    protect: bool
    container_name: str = "artifacts"
    redundancy: Redundancy = Redundancy.LOCAL
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    blob_soft_delete_days: int = 14
    container_soft_delete_days: int = 14
    public_origin: str | None = None
    subnet_ids: Sequence[pulumi.Input[str]] = ()

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if isinstance(self.account_name, str) and not _ACCOUNT_NAME.match(self.account_name):
            yield (
                f"ArtifactStoreArgs.account_name: {self.account_name!r}; Azure takes 3 to 24 lower-case letters and "
                "digits. Choose such a name."
            )
        if not _CONTAINER_NAME.match(self.container_name):
            yield (
                f"ArtifactStoreArgs.container_name: {self.container_name!r}; Azure takes 3 to 63 lower-case letters, "
                "digits and single hyphens, no hyphen first or last. Choose such a name."
            )
        for name in ("blob_soft_delete_days", "container_soft_delete_days"):
            if not 1 <= getattr(self, name) <= 365:
                yield f"ArtifactStoreArgs.{name}: {getattr(self, name)}; Azure keeps 1 to 365 days. Choose in between."
        if self.public_origin is not None and not _ORIGIN.match(self.public_origin):
            yield (
                f"ArtifactStoreArgs.public_origin: {self.public_origin!r}; one https origin is allowed, without path, "
                "wildcard or upper case. Give it as https://mlflow.example.com."
            )


class ArtifactStore(pulumi.ComponentResource):
    """An account and a container whose blobs are reached with Entra identities over the virtual network alone.

    Overwritten and deleted artifacts can be brought back: versions, and soft delete of blobs and containers. It refuses
    account keys (and so every SAS but one that an identity signed), public blobs, SFTP and local users, TLS below 1.2,
    replication and copies to other tenants, and the hierarchical namespace, which has no versions. Blobs are encrypted
    twice. Encryption, the namespace, the location and the name are fixed when the account is made.

    It makes no role assignment: `container_id` is the least scope for them. Diagnostics belong to the blob service,
    `{id}/blobServices/default`. URLs are those of the public cloud.

        store = ArtifactStore("mlflow-store", ArtifactStoreArgs(
            account_name="stmlflowprodx7k2", resource_group_name=group.name, location="westeurope", tags=tags,
            protect=True, redundancy=Redundancy.ZONE, public_origin="https://mlflow.example.com",
        ))
        assign("artifacts-write", scope=store.container_id, principal_id=principal_id,
               role=Role.STORAGE_BLOB_DATA_CONTRIBUTOR, subscription_id=subscription_id, parent=store)

    Sources: Microsoft Learn, "Azure storage redundancy", "Soft delete for blobs", "Blob versioning", "Azure Blob
    Storage lifecycle management overview", "Put Block", "Enable infrastructure encryption for
    double encryption of data".
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
            # Hidden edge: a rule on versions is about an account that has them.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[service]),
        )
        if args.protect:
            lock(f"{name}-lock", scope=account.id, parent=self, over=[container, policy])
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
        access = storage.PublicNetworkAccess.ENABLED if args.subnet_ids else storage.PublicNetworkAccess.DISABLED
        return storage.StorageAccount(
            f"{name}-account",
            account_name=args.account_name,
            resource_group_name=args.resource_group_name,
            location=args.location,
            tags=args.tags,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=_SKUS[args.redundancy]),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            allow_shared_key_access=False,
            allowed_copy_scope=storage.AllowedCopyScope.AAD,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            is_hns_enabled=False,
            is_local_user_enabled=False,
            is_sftp_enabled=False,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            encryption=storage.EncryptionArgs(
                key_source=storage.KeySource.MICROSOFT_STORAGE,
                require_infrastructure_encryption=True,
                services=storage.EncryptionServicesArgs(
                    blob=storage.EncryptionServiceArgs(enabled=True, key_type=storage.KeyType.ACCOUNT)
                ),
            ),
            # Service endpoints arrive at the public address, which the rules below open to their subnets alone.
            public_network_access=access,
            network_rule_set=storage.NetworkRuleSetArgs(
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


def _cors(origin: str | None) -> list[storage.CorsRuleArgs]:
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
