"""A storage account that identities alone reach: what every account has, whatever it holds and whoever reaches it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi_azure_native import storage

from components.azure import diagnostics

# An account's categories are this one and Capacity, whose one metric Azure does not export.
_METRICS = "Transaction"
# Days, hours, minutes, seconds: a signed URL is for one transfer.
_LONGEST_SAS = "00.02:00:00"


def create(
    name: str,
    *,
    account_name: pulumi.Input[str],
    resource_group_name: pulumi.Input[str],
    location: pulumi.Input[str],
    tags: Mapping[str, str],
    sku: storage.SkuName,
    public: bool,
    network: storage.NetworkRuleSetArgs,
    opts: pulumi.ResourceOptions,
) -> storage.StorageAccount:
    """Create an account without keys, public blobs, SFTP and local users, whose blobs are encrypted twice.

    `public` is plain: whether its public address answers at all, to those that `network` admits. TLS is 1.2 or newer,
    and nothing is replicated or copied to another tenant.
    """
    return storage.StorageAccount(
        name,
        account_name=account_name,
        resource_group_name=resource_group_name,
        location=location,
        tags=tags,
        kind=storage.Kind.STORAGE_V2,
        sku=storage.SkuArgs(name=sku),
        access_tier=storage.AccessTier.HOT,
        allow_blob_public_access=False,
        allow_cross_tenant_replication=False,
        allow_shared_key_access=False,
        allowed_copy_scope=storage.AllowedCopyScope.AAD,
        default_to_o_auth_authentication=True,
        # Azure logs each use of an SAS that is valid for longer (SasExpiryStatus in StorageBlobLogs). It does not
        # block one: whether that holds for those that an identity signed is not documented.
        sas_policy=storage.SasPolicyArgs(
            sas_expiration_period=_LONGEST_SAS, expiration_action=storage.ExpirationAction.LOG
        ),
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
        public_network_access=storage.PublicNetworkAccess.ENABLED if public else storage.PublicNetworkAccess.DISABLED,
        network_rule_set=network,
        opts=opts,
    )


def log(
    name: str,
    account: storage.StorageAccount,
    service: storage.BlobServiceProperties,
    *,
    workspace_id: pulumi.Input[str],
    parent: pulumi.Resource,
) -> list[pulumi.Resource]:
    """Send metrics and logs to a workspace.

    The account has metrics only, its blob service the logs; the service's metrics are in the account's.
    """
    return [
        diagnostics.send(
            f"{name}-metrics",
            target_id=account.id,
            workspace_id=workspace_id,
            parent=parent,
            category_groups=(),
            metrics=(_METRICS,),
        ),
        diagnostics.send(f"{name}-logs", target_id=service.id, workspace_id=workspace_id, parent=parent, metrics=()),
    ]
