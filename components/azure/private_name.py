"""A host name with one private address, which a network and those of its clients resolve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_azure_native import privatedns

_TTL_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class PrivateNameArgs:
    """`host` and the keys of `client_networks` (ids by a short name) decide on resources and are plain.

    Whoever resolves `host` by this zone finds nothing of it elsewhere, and everything beside it as before.
    """

    host: str
    address: pulumi.Input[str]
    network_id: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    client_networks: Mapping[str, str] = field(default_factory=dict)


class PrivateName(pulumi.ComponentResource):
    """A private zone with the host's own name, so that it hides no other name of the domain.

        PrivateName("gateway-name", PrivateNameArgs(
            host="shop.example.com", address="10.20.0.212", network_id=network.network_id, ...
        ))

    Source on Microsoft Learn: "What is an Azure Private DNS zone" (records at the apex, links).
    """

    def __init__(self, name: str, args: PrivateNameArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:PrivateName", name, {}, opts)
        create_zone(
            f"{name}-zone",
            args.host,
            record=("address", "@"),
            address=args.address,
            network_id=args.network_id,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            client_networks=args.client_networks,
            parent=self,
        )
        self.register_outputs({})


def create_zone(
    name: str,
    host: pulumi.Input[str],
    *,
    record: tuple[str, str],
    address: pulumi.Input[str],
    network_id: pulumi.Input[str],
    resource_group_name: pulumi.Input[str],
    tags: Mapping[str, str],
    client_networks: Mapping[str, str],
    parent: pulumi.Resource,
) -> None:
    """Create the zone of a host in a component, linked to its network and those of clients, with one address.

    `record` is the end of the resource's name, and the record's own: "@" for the host, "*" for all names below it.
    """
    child = pulumi.ResourceOptions(parent=parent)
    zone = privatedns.PrivateZone(
        name,
        private_zone_name=host,
        location="global",
        resource_group_name=resource_group_name,
        tags=tags,
        opts=child,
    )
    others = {f"client-{key}": network for key, network in client_networks.items()}
    for link, network in {"network": network_id, **others}.items():
        privatedns.VirtualNetworkLink(
            f"{name}-link" if link == "network" else f"{name}-link-{link}",
            virtual_network_link_name=link,
            private_zone_name=zone.name,
            location="global",
            resource_group_name=resource_group_name,
            tags=tags,
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=network),
            opts=child,
        )
    label, relative = record
    privatedns.PrivateRecordSet(
        f"{name}-{label}",
        private_zone_name=zone.name,
        record_type="A",
        relative_record_set_name=relative,
        resource_group_name=resource_group_name,
        ttl=_TTL_SECONDS,
        a_records=[privatedns.ARecordArgs(ipv4_address=address)],
        opts=child,
    )
