"""A Key Vault for the secrets of one stack, read with managed identities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from components.azure import diagnostics
from components.azure.lock import lock

SOFT_DELETE_DAYS = 90
_KEY_BITS = 3072

_VAULT_NAME = re.compile(r"(?=.{3,24}\Z)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*\Z")
_SECRET_NAME = re.compile(r"[A-Za-z0-9-]{1,127}\Z")


@dataclass(frozen=True, kw_only=True)
class KeyVaultArgs:
    """What makes a vault.

    `protect` and `purge_protection` are plain: the first decides on the lock; Azure never revokes the second.
    So is the number of `subnet_ids`: the subnets with the service endpoint Microsoft.KeyVault that may reach the vault.
    Without any, only private endpoints reach it. `public`, plain too, opens its address to everybody with a role.
    `workspace_id` is where logs and metrics go. Raises ValueError with every problem at once.
    """

    vault_name: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    location: pulumi.Input[str]
    tags: Mapping[str, str]
    tenant_id: pulumi.Input[str]
    workspace_id: pulumi.Input[str]
    protect: bool
    purge_protection: bool = True
    subnet_ids: Sequence[pulumi.Input[str]] = ()
    public: bool = False

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if isinstance(self.vault_name, str) and not _VAULT_NAME.match(self.vault_name):
            yield (
                f"KeyVaultArgs.vault_name: {self.vault_name!r}; Azure takes 3 to 24 letters, digits and single "
                "hyphens, a letter first and no hyphen last. Choose such a name."
            )
        if self.protect and not self.purge_protection:
            yield (
                "KeyVaultArgs.purge_protection: False with protect=True; a protected vault must not be purgeable. "
                "Set purge_protection=True, or protect=False for a throwaway stack."
            )


class KeyVault(pulumi.ComponentResource):
    """A vault that gives secrets to Entra identities with a role, over the virtual network alone.

    What is deleted can be brought back for 90 days, and with purge protection nobody can shorten that. It refuses
    access policies (roles can be given per secret, and show in one place), the three enabledFor* (each lets a service
    of Azure read secrets past the roles), the open internet, and Azure's trusted services, none of which reads from it.
    It holds no secret itself and makes no role assignment: see `secret_scope`.

    A deleted vault keeps its name for 90 days: use names with a suffix of the stack. The URL is that of the
    public cloud.

        vault = KeyVault("vault", KeyVaultArgs(
            vault_name="kv-shop-prod-x7k2", resource_group_name=group.name, location="westeurope", tags=tags,
            tenant_id=tenant_id, workspace_id=monitoring.workspace_id, protect=True,
        ))
        assign("tracking-reads-kek", scope=vault.secret_scope("crypto-kek-passphrase"), principal_id=principal_id,
               role=AzureRole.KEY_VAULT_SECRETS_USER, subscription_id=subscription_id, parent=vault)

    Sources: Microsoft Learn, "Azure Key Vault soft-delete overview", "Provide access to Key Vault keys, certificates,
    and secrets with Azure role-based access control", "Naming rules and restrictions for Azure resources".
    """

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: KeyVaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:KeyVault", name, {}, opts)
        self._own_name, self._args = name, args
        vault = keyvault.Vault(
            f"{name}-vault",
            vault_name=args.vault_name,
            resource_group_name=args.resource_group_name,
            location=args.location,
            tags=args.tags,
            properties=_properties(args),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        logs = diagnostics.send(f"{name}-logs", target_id=vault.id, workspace_id=args.workspace_id, parent=self)
        if args.protect:
            lock(f"{name}-lock", scope=vault.id, parent=self, over=[logs])
        self.id = vault.id
        self.name = vault.name
        self.url = pulumi.Output.concat("https://", vault.name, ".vault.azure.net/")
        self.register_outputs({"id": self.id, "name": self.name, "url": self.url})

    def encryption_key(self, key_name: str) -> keyvault.Key:
        """Create a key that encrypts and decrypts, and that nobody can take out; its id is the scope for roles on it.

        It goes with its vault: Azure Resource Manager creates keys and does not delete them. Raises ValueError.
        """
        if not _SECRET_NAME.match(key_name):
            raise ValueError(
                f"key_name: {key_name!r}; Key Vault takes 1 to 127 letters, digits and hyphens. Rename it."
            )
        return keyvault.Key(
            f"{self._own_name}-{key_name}",
            key_name=key_name,
            vault_name=self.name,
            resource_group_name=self._args.resource_group_name,
            tags=self._args.tags,
            properties=keyvault.KeyPropertiesArgs(
                kty=keyvault.JsonWebKeyType.RSA,
                key_size=_KEY_BITS,
                key_ops=[keyvault.JsonWebKeyOperation.ENCRYPT, keyvault.JsonWebKeyOperation.DECRYPT],
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.protect),
        )

    def secret_scope(self, secret_name: str) -> pulumi.Output[str]:
        """The scope of one secret, so that an identity can be given that secret and no other. Raises ValueError."""
        if not _SECRET_NAME.match(secret_name):
            raise ValueError(
                f"secret_name: {secret_name!r}; Key Vault takes 1 to 127 letters, digits and hyphens. Rename it."
            )
        return pulumi.Output.concat(self.id, "/secrets/", secret_name)


def _properties(args: KeyVaultArgs) -> keyvault.VaultPropertiesArgs:
    reachable = args.public or bool(args.subnet_ids)
    access = keyvault.PublicNetworkAccess.ENABLED if reachable else keyvault.PublicNetworkAccess.DISABLED
    action = keyvault.NetworkRuleAction.ALLOW if args.public else keyvault.NetworkRuleAction.DENY
    return keyvault.VaultPropertiesArgs(
        tenant_id=args.tenant_id,
        sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
        enable_rbac_authorization=True,
        enable_soft_delete=True,
        soft_delete_retention_in_days=SOFT_DELETE_DAYS,
        # Azure takes true or nothing: Azure refuses a vault that says false.
        enable_purge_protection=True if args.purge_protection else None,
        enabled_for_deployment=False,
        enabled_for_disk_encryption=False,
        enabled_for_template_deployment=False,
        # Service endpoints arrive at the public address, which the rules below open to their subnets alone.
        public_network_access=access,
        network_acls=keyvault.NetworkRuleSetArgs(
            default_action=action,
            bypass=keyvault.NetworkRuleBypassOptions.NONE,
            ip_rules=[],
            virtual_network_rules=[keyvault.VirtualNetworkRuleArgs(id=subnet) for subnet in args.subnet_ids],
        ),
    )
