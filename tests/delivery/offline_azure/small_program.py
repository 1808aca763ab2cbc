"""A small data plane out of plain azure-native resources, for the tests of the offline Azure."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_azure_native import authorization, dbforpostgresql, keyvault, managedidentity, resources, storage

config = pulumi.Config()
location = config.get("location") or "westeurope"
group = resources.ResourceGroup("group", resource_group_name="rg-small", location=location)
identity = managedidentity.UserAssignedIdentity(
    "identity", resource_group_name=group.name, resource_name_="id-small", location=location
)
account = storage.StorageAccount(
    "account",
    resource_group_name=group.name,
    account_name="stsmall7f3a",
    location=config.get("accountLocation") or location,
    kind=storage.Kind.STORAGE_V2,
    sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
    allow_shared_key_access=False,
    enable_https_traffic_only=True,
    minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
    tags={"owner": config.get("owner") or "platform"},
)
container = storage.BlobContainer(
    "container", resource_group_name=group.name, account_name=account.name, container_name="artifacts"
)
client = authorization.get_client_config_output()
vault = keyvault.Vault(
    "vault",
    resource_group_name=group.name,
    vault_name="kv-small-7f3a",
    location=location,
    properties=keyvault.VaultPropertiesArgs(
        tenant_id=client.tenant_id,
        sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
        enable_rbac_authorization=True,
    ),
)
server = dbforpostgresql.Server(
    "server",
    resource_group_name=group.name,
    server_name="psql-small-7f3a",
    location=location,
    version=dbforpostgresql.PostgresMajorVersion.POSTGRES_MAJOR_VERSION_16,
    storage=dbforpostgresql.StorageArgs(storage_size_gb=config.get_int("storage") or 64),
    auth_config=dbforpostgresql.AuthConfigArgs(
        active_directory_auth=dbforpostgresql.MicrosoftEntraAuth.ENABLED,
        password_auth=dbforpostgresql.PasswordBasedAuth.DISABLED,
    ),
)
if config.get_bool("locked"):
    authorization.ManagementLockByScope(
        "lock",
        scope=account.id,
        lock_name="keep",
        level=authorization.LockLevel.CAN_NOT_DELETE,
        # So that it is taken off before the container goes, which it holds too.
        opts=pulumi.ResourceOptions(depends_on=[container]),
    )
if config.get_bool("misspelt"):
    misspelt: Any = {"enabled": True, "dayz": 7}
    storage.BlobServiceProperties(
        "blobs",
        resource_group_name=group.name,
        account_name=account.name,
        blob_services_name="default",
        delete_retention_policy=misspelt,
        opts=pulumi.ResourceOptions(depends_on=[container]),  # Azure does one operation at a time on an account
    )
pulumi.export("host", server.fully_qualified_domain_name)
pulumi.export("vault", vault.properties.vault_uri)
pulumi.export("client", identity.client_id)
