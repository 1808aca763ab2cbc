"""The registry that holds the one image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from components.azure import diagnostics
from components.azure.lock import lock

_NAME = re.compile(r"[a-zA-Z0-9]{5,50}")
_RETENTION_DAYS = range(0, 366)


@dataclass(frozen=True, kw_only=True)
class ContainerRegistryArgs:
    """Plain values decide on resources and on what the registry's tier allows.

    `private` closes the public endpoint (a private endpoint is the program's to make, group `registry`), and
    `zone_redundant` keeps copies in every zone: both need the Premium tier, which they choose; so does `retention_days`
    for untagged manifests, which is left out without it. Zone redundancy is fixed at creation. `protect` guards against
    deletion.
    """

    registry_name: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    private: bool = False
    zone_redundant: bool = False
    retention_days: int = 30
    protect: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.registry_name):
            raise ValueError(
                f"ContainerRegistryArgs.registry_name: {self.registry_name!r}; allowed: 5 to 50 letters and digits; "
                "choose another."
            )
        if self.retention_days not in _RETENTION_DAYS:
            raise ValueError(
                f"ContainerRegistryArgs.retention_days: {self.retention_days}; allowed: 0 to 365; choose one of these."
            )


class ContainerRegistry(pulumi.ComponentResource):
    """An Azure container registry that is read by identity alone.

    The admin user and anonymous pulls are off, and it takes no other sign-in than Entra's. Azure's trusted services,
    among them the import of an image from another registry, pass a private one's network rules with their roles. It
    refuses nothing by itself in the Basic tier, which has no private endpoints and no retention.

    Retention removes manifests without a tag, also one that something runs by its digest: give every image a tag that
    no other one gets.

        registry = ContainerRegistry("images", ContainerRegistryArgs(
            registry_name="acrshopdev3f9a", location="westeurope", resource_group_name=group.name, tags={},
            workspace_id=monitoring.workspace_id,
        ))
        assign("pull", scope=registry.id, principal_id=identity.principal_id, role=AzureRole.ACR_PULL, ...)
        image = Image(server=registry.login_server, repository="shop/web", digest="sha256:...")

    Sources, Microsoft Learn: "Azure Container Registry service tiers", "Set a retention policy for untagged manifests",
    "Zone redundancy in Azure Container Registry", "Naming rules and restrictions for Azure resources".
    """

    id: pulumi.Output[str]
    login_server: pulumi.Output[str]

    def __init__(self, name: str, args: ContainerRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:ContainerRegistry", name, {}, opts)
        premium = args.private or args.zone_redundant
        registry = containerregistry.Registry(
            f"{name}-registry",
            registry_name=args.registry_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            sku=containerregistry.SkuArgs(
                name=containerregistry.SkuName.PREMIUM if premium else containerregistry.SkuName.BASIC
            ),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            # The SDK's own default is Enabled.
            public_network_access=containerregistry.PublicNetworkAccess.DISABLED
            if args.private
            else containerregistry.PublicNetworkAccess.ENABLED,
            # Else nothing could come into a private registry: an import by digest is one of Azure's trusted services.
            network_rule_bypass_options=containerregistry.NetworkRuleBypassOptions.AZURE_SERVICES,
            zone_redundancy=containerregistry.ZoneRedundancy.ENABLED
            if args.zone_redundant
            else containerregistry.ZoneRedundancy.DISABLED,
            policies=_premium_policies(args.retention_days) if premium else None,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        logs = diagnostics.send(f"{name}-logs", target_id=registry.id, workspace_id=args.workspace_id, parent=self)
        if args.protect:
            lock(f"{name}-lock", scope=registry.id, parent=self, over=[logs])
        self.id, self.login_server = registry.id, registry.login_server
        self.register_outputs({"id": self.id, "login_server": self.login_server})


def _premium_policies(retention_days: int) -> containerregistry.PoliciesArgs:
    return containerregistry.PoliciesArgs(
        retention_policy=containerregistry.RetentionPolicyArgs(
            days=retention_days, status=containerregistry.PolicyStatus.ENABLED
        )
    )
