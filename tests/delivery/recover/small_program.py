"""A few azure-native resources whose create, update and replacement a test can hold up."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, keyvault, resources, storage

config = pulumi.Config()
group = resources.ResourceGroup("group", resource_group_name="rg-small", location="westeurope")
account = storage.StorageAccount(
    "account",
    resource_group_name=group.name,
    account_name=config.get("accountName") or "stsmall7f3a",
    location=config.get("location") or "westeurope",
    kind=storage.Kind.STORAGE_V2,
    sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
    allow_shared_key_access=False,
    tags={"owner": config.get("owner") or "platform"},
)
storage.BlobContainer(
    "container", resource_group_name=group.name, account_name=account.name, container_name="artifacts"
)
keyvault.Vault(
    "vault",
    resource_group_name=group.name,
    vault_name="kv-small-7f3a",
    location="westeurope",
    properties=keyvault.VaultPropertiesArgs(
        tenant_id=authorization.get_client_config_output().tenant_id,
        sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
        enable_rbac_authorization=True,
    ),
    opts=pulumi.ResourceOptions(protect=config.get_bool("protect")),
)
