"""A private endpoint: an address in our network for one service of Azure's, and its name."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network


class PrivateLinkGroup(enum.StrEnum):
    """What of a resource is reached, by Azure's names ("Private-link resource" on Microsoft Learn)."""

    BLOB = "blob"
    VAULT = "vault"
    REGISTRY = "registry"


@dataclass(frozen=True, kw_only=True)
class PrivateEndpointArgs:
    """`group` is plain, as it names the endpoint's parts; all others are values.

    `target_id` is the resource that is reached, `subnet_id` where the address comes from, `zone_id` the private DNS
    zone of the group (`Network.zone_ids`), `endpoint_name` the physical name, at most 76 characters. `after` is waited
    for though no value leads to it, such as what else is made on the target: a storage account takes one at a time.
    """

    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    endpoint_name: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    target_id: pulumi.Input[str]
    group: PrivateLinkGroup
    zone_id: pulumi.Input[str]
    after: Sequence[pulumi.Resource] = ()


class PrivateEndpoint(pulumi.ComponentResource):
    """Reaches a storage account, vault or registry by a private address, under the name that it always had.

    It refuses nothing: Azure checks that target and group go together. The connection is approved at once, so who
    deploys needs rights on the target too. It does not close the target's public side, which its own component does.

        PrivateEndpoint("vault-endpoint", PrivateEndpointArgs(
            location="westeurope", resource_group_name=group.name, tags=tags, endpoint_name="pe-vault-dev",
            subnet_id=network.subnet_ids[SubnetRole.PRIVATE_ENDPOINTS],
            target_id=vault.id, group=PrivateLinkGroup.VAULT, zone_id=network.zone_ids[ZoneRole.VAULT],
        ))

    Sources on Microsoft Learn: "What is a private endpoint?", "Azure Private Endpoint private DNS zone values".
    """

    endpoint_id: pulumi.Output[str]
    """Given out only once the name resolves to the private address: wait for it before using the target."""

    def __init__(self, name: str, args: PrivateEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:PrivateEndpoint", name, {}, opts)
        endpoint = network.PrivateEndpoint(
            f"{name}-endpoint",
            private_endpoint_name=args.endpoint_name,
            # Else Azure makes up a name with a random part.
            custom_network_interface_name=pulumi.Output.concat(args.endpoint_name, "-nic"),
            subnet=network.SubnetArgs(id=args.subnet_id),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name=args.group.value, private_link_service_id=args.target_id, group_ids=[args.group.value]
                )
            ],
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            # Azure lists the endpoint's names here until the group below takes care of them: then it is as said here.
            custom_dns_configs=[],
            # Hidden edge: see `after`.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.after)),
        )
        names = network.PrivateDnsZoneGroup(
            f"{name}-names",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            private_dns_zone_configs=[
                network.PrivateDnsZoneConfigArgs(name=args.group.value, private_dns_zone_id=args.zone_id)
            ],
            resource_group_name=args.resource_group_name,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.endpoint_id = pulumi.Output.all(endpoint.id, names.id).apply(lambda ids: str(ids[0]))
        self.register_outputs({"endpoint_id": self.endpoint_id})
