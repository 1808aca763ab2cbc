"""The virtual network: planned subnets behind their security groups, private names, and a fixed address outwards."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import pulumi
from pulumi_azure_native import network, privatedns

from components.azure import diagnostics
from components.azure.lock import lock
from components.azure.network_plan import AKS_API_SUBNETS, CONTAINER_APPS_SUBNETS, NetworkPlan, SubnetRole, plan
from components.azure.network_rules import COMPUTE, Traffic, rules
from components.azure.private_endpoint import PrivateLinkGroup

_POSTGRES_ZONE_SUFFIX = ".postgres.database.azure.com"

_DELEGATIONS = {
    **dict.fromkeys(AKS_API_SUBNETS, "Microsoft.ContainerService/managedClusters"),
    SubnetRole.CONTAINER_APPS: "Microsoft.App/environments",
    SubnetRole.POSTGRES: "Microsoft.DBforPostgreSQL/flexibleServers",
}


class ZoneRole(enum.StrEnum):
    """Whose private names a zone holds."""

    POSTGRES = "postgres"
    BLOB = PrivateLinkGroup.BLOB.value
    VAULT = PrivateLinkGroup.VAULT.value
    REGISTRY = PrivateLinkGroup.REGISTRY.value


_PRIVATE_LINK_ZONES = {
    PrivateLinkGroup.BLOB: "privatelink.blob.core.windows.net",
    PrivateLinkGroup.VAULT: "privatelink.vaultcore.azure.net",
    PrivateLinkGroup.REGISTRY: "privatelink.azurecr.io",
}


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """All but names, location, tags and `workspace_id` decide which resources exist, or their addresses, and are plain.

    - `workspace_id`: where logs and metrics go.
    - `network_name`: 2 to 60 characters; security groups and the outbound address are named after it.
    - `cidr`: the private range of the whole network, planned by `network_plan.plan`.
    - `subnets`: which there are, with their prefix lengths; a subnet in use can be neither moved nor resized.
    - `private_endpoints`: what is reached through them, each by a private link zone; the others are reached at their
      public addresses. The endpoints' subnet is planned in any case, so that another one moves nothing.
    - `fixed_outbound_address`: a NAT gateway gives compute one public address, for other people's allow-lists.
    - `address_zones`: availability zones of that address; none lets Azure choose, as in regions without zones.
    - `internet_outbound`: whether services may call HTTPS on the internet (webhooks). Off by default.
    - `client_ranges`: CIDRs that may call the gateway; none means this network and its peers. An environment that is
      public takes its callers past the network, so groups do not see them.
    - `clients_reach`: which private endpoints clients call themselves. Their ranges are then let into the endpoints'
      subnet, where a rule cannot tell one endpoint from another: each service still asks who calls.
    - `client_networks`: ids of other networks by a short name; they resolve the names of what `clients_reach`. Azure
      refuses a network that has a zone of that name already.
    - `callers`: CIDRs of our own processes in peered networks, such as nodes of a cluster; they reach data as compute
      does. `caller_networks` are the ids of those networks by a short name; they resolve every private name.
    - `postgres_zone`: name of the zone of PostgreSQL servers; must not begin with a server's name.
    - `protect`: whether the outbound address, which others rely on, is protected and locked.
    """

    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    network_name: str
    cidr: str
    subnets: Mapping[SubnetRole, int] = field(default_factory=lambda: CONTAINER_APPS_SUBNETS)
    private_endpoints: Collection[PrivateLinkGroup] = tuple(PrivateLinkGroup)
    fixed_outbound_address: bool = False
    address_zones: Sequence[str] = ()
    internet_outbound: bool = False
    client_ranges: Sequence[str] = ()
    clients_reach: Collection[PrivateLinkGroup] = ()
    client_networks: Mapping[str, str] = field(default_factory=dict)
    callers: Sequence[str] = ()
    caller_networks: Mapping[str, str] = field(default_factory=dict)
    postgres_zone: str = f"data.private{_POSTGRES_ZONE_SUFFIX}"
    protect: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.network_name) <= 60:
            raise ValueError(f"network_name: {self.network_name!r} must have 2 to 60 characters; choose another name.")
        if not self.postgres_zone.endswith(_POSTGRES_ZONE_SUFFIX) or self.postgres_zone.startswith("."):
            raise ValueError(
                f"postgres_zone: {self.postgres_zone!r} must end in {_POSTGRES_ZONE_SUFFIX}, with a name before it; "
                f"write for example data.private{_POSTGRES_ZONE_SUFFIX}."
            )
        for given in self.client_ranges:
            try:
                ipaddress.IPv4Network(given)
            except ValueError as error:
                raise ValueError(
                    f"client_ranges: {given!r} is no IPv4 range ({error}); write it as 10.0.0.0/8. "
                    "Service tags are not taken: they would hide who may call."
                ) from error
        if self.address_zones and not self.fixed_outbound_address:
            raise ValueError("address_zones: given without fixed_outbound_address; turn that on or leave them out.")
        if self.private_endpoints and SubnetRole.PRIVATE_ENDPOINTS not in self.subnets:
            raise ValueError(
                "private_endpoints: needs the subnet private-endpoints; add it to subnets or leave them out."
            )
        if lost := ", ".join(group for group in self.clients_reach if group not in self.private_endpoints):
            raise ValueError(
                f"clients_reach: {lost} has no private endpoint; add it to private_endpoints or leave it out."
            )
        plan(self.cidr, self.subnets)


class Network(pulumi.ComponentResource):
    """A virtual network in which data and compute meet, each subnet closed to all that it does not need.

    It refuses public, reserved and too small ranges, at construction, because Azure would refuse some of them late and
    none can be changed in use. It makes no private endpoints: those belong to the data, see `private_endpoint`.
    Logs and metrics of its parts go to the workspace; Azure exports none of a NAT gateway.
    Two networks need two resource groups, as Azure prescribes the names of private link zones.

        network = Network("net", NetworkArgs(
            location="westeurope", resource_group_name=group.name, tags=tags,
            network_name="vnet-shop-dev", cidr="10.20.0.0/24", workspace_id=monitoring.workspace_id,
        ))
        subnet = network.subnet_ids[SubnetRole.POSTGRES]
        zone = network.zone_ids[ZoneRole.POSTGRES]

    Sources on Microsoft Learn: "Azure Private Endpoint private DNS zone values", "Azure NAT Gateway resource", "Default
    outbound access in Azure", "Manage network policies for private endpoints", "Supported metrics for
    Microsoft.Network/natgateways", and those of network_plan and network_rules.
    """

    network_id: pulumi.Output[str]
    subnet_ids: Mapping[SubnetRole, pulumi.Output[str]]
    zone_ids: Mapping[ZoneRole, pulumi.Output[str]]
    """An id is given out only once its zone is linked: a server that comes earlier finds no name for itself."""
    outbound_address: pulumi.Output[str] | None
    """None where the address is not fixed."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:Network", name, {}, opts)
        self._prefix, self._args = name, args
        planned = plan(args.cidr, args.subnets)
        # No `subnets` here: azure-native then leaves those alone that are resources of their own (its issues 611 and
        # 3049). Inline, every change of one would put the whole network again and delete what was added elsewhere.
        vnet = network.VirtualNetwork(
            f"{name}-vnet",
            virtual_network_name=args.network_name,
            address_space=network.AddressSpaceArgs(address_prefixes=[str(planned.cidr)]),
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        diagnostics.send(f"{name}-logs", target_id=vnet.id, workspace_id=args.workspace_id, parent=self)
        nat_gateway_id, self.outbound_address = self._outbound() if args.fixed_outbound_address else (None, None)
        self.network_id = vnet.id
        self.subnet_ids = self._subnets(vnet, planned, nat_gateway_id)
        self.zone_ids = {role: self._zone(role, zone, vnet) for role, zone in self._zones().items()}
        self.register_outputs(
            {
                "network_id": self.network_id,
                "subnet_ids": {role.value: subnet for role, subnet in self.subnet_ids.items()},
                "zone_ids": {role.value: zone for role, zone in self.zone_ids.items()},
                "outbound_address": self.outbound_address,
            }
        )

    def _subnets(
        self, vnet: network.VirtualNetwork, planned: NetworkPlan, nat_gateway_id: pulumi.Output[str] | None
    ) -> dict[SubnetRole, pulumi.Output[str]]:
        args = self._args
        traffic = Traffic(
            region=args.location,
            clients=args.client_ranges,
            private_endpoints=args.private_endpoints,
            clients_reach_endpoints=bool(args.clients_reach),
            callers=args.callers,
            internet=args.internet_outbound,
        )
        made: dict[SubnetRole, network.Subnet] = {}
        for role, cidr in planned.subnets.items():
            group = network.NetworkSecurityGroup(
                f"{self._prefix}-{role}-rules",
                network_security_group_name=f"{args.network_name}-{role}",
                security_rules=rules(role, planned, traffic),
                location=args.location,
                resource_group_name=args.resource_group_name,
                tags=args.tags,
                opts=pulumi.ResourceOptions(parent=self),
            )
            diagnostics.send(
                f"{self._prefix}-{role}-rules-logs",
                target_id=group.id,
                workspace_id=args.workspace_id,
                parent=self,
                metrics=(),
            )
            delegation = _DELEGATIONS.get(role)
            outwards = nat_gateway_id if role in COMPUTE else None
            made[role] = network.Subnet(
                f"{self._prefix}-{role}",
                subnet_name=role.value,
                virtual_network_name=vnet.name,
                resource_group_name=args.resource_group_name,
                address_prefix=str(cidr),
                network_security_group=network.NetworkSecurityGroupArgs(id=group.id),
                nat_gateway=None if outwards is None else network.SubResourceArgs(id=outwards),
                # A server archives its log to Storage: without it, Azure adds the endpoint to its subnet by itself.
                service_endpoints=(
                    [network.ServiceEndpointPropertiesFormatArgs(service="Microsoft.Storage")]
                    if role is SubnetRole.POSTGRES
                    else None
                ),
                delegations=[network.DelegationArgs(name="service", service_name=delegation)] if delegation else None,
                # A delegated subnet's way out is its service's business; the others get none that they did not ask for.
                default_outbound_access=None if delegation else False,
                private_endpoint_network_policies=(
                    # Without it the group does not apply to the endpoints.
                    network.VirtualNetworkPrivateEndpointNetworkPolicies.NETWORK_SECURITY_GROUP_ENABLED
                    if role is SubnetRole.PRIVATE_ENDPOINTS
                    else network.VirtualNetworkPrivateEndpointNetworkPolicies.DISABLED
                ),
                # One after the other: Azure changes one subnet of a network at a time, and refuses a second with
                # AnotherOperationInProgress (azure-native issue 903).
                opts=pulumi.ResourceOptions(parent=self, depends_on=list(made.values())[-1:]),
            )
        return {role: subnet.id for role, subnet in made.items()}

    def _outbound(self) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        args = self._args
        address = network.PublicIPAddress(
            f"{self._prefix}-outbound-address",
            public_ip_address_name=f"{args.network_name}-outbound",
            sku=network.PublicIPAddressSkuArgs(name=network.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            public_ip_address_version=network.IPVersion.I_PV4,
            zones=list(args.address_zones) or None,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args.protect,
                # Azure writes the gateway that uses the address into it, and takes it from the gateway alone.
                ignore_changes=["natGateway"],
            ),
        )
        logs = diagnostics.send(
            f"{self._prefix}-outbound-address-logs", target_id=address.id, workspace_id=args.workspace_id, parent=self
        )
        if args.protect:
            lock(f"{self._prefix}-outbound-address-lock", scope=address.id, parent=self, over=[logs])
        gateway = network.NatGateway(
            f"{self._prefix}-nat",
            nat_gateway_name=f"{args.network_name}-nat",
            sku=network.NatGatewaySkuArgs(name=network.NatGatewaySkuName.STANDARD),
            public_ip_addresses=[network.SubResourceArgs(id=address.id)],
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Optional in the SDK, since addresses that are not static have none until they are used.
        return gateway.id, cast("pulumi.Output[str]", address.ip_address)

    def _zones(self) -> dict[ZoneRole, str]:
        zones = {ZoneRole.POSTGRES: self._args.postgres_zone} if SubnetRole.POSTGRES in self._args.subnets else {}
        private = {ZoneRole(group.value): name for group, name in _PRIVATE_LINK_ZONES.items()}
        return zones | {role: name for role, name in private.items() if role.value in self._args.private_endpoints}

    def _zone(self, role: ZoneRole, zone_name: str, vnet: network.VirtualNetwork) -> pulumi.Output[str]:
        zone = privatedns.PrivateZone(
            f"{self._prefix}-{role}-zone",
            private_zone_name=zone_name,
            location="global",
            resource_group_name=self._args.resource_group_name,
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        own = self._link(f"{self._prefix}-{role}-zone-link", zone, self._args.network_name, vnet.id)
        clients = self._args.client_networks if role.value in self._args.clients_reach else {}
        for key, other in ({**clients, **self._args.caller_networks}).items():
            self._link(f"{self._prefix}-{role}-zone-link-{key}", zone, f"client-{key}", other)
        return pulumi.Output.all(zone.id, own.id).apply(lambda ids: str(ids[0]))

    def _link(
        self, name: str, zone: privatedns.PrivateZone, link_name: str, network_id: pulumi.Input[str]
    ) -> privatedns.VirtualNetworkLink:
        return privatedns.VirtualNetworkLink(
            name,
            virtual_network_link_name=link_name,
            private_zone_name=zone.name,
            virtual_network=privatedns.SubResourceArgs(id=network_id),
            registration_enabled=False,
            location="global",
            resource_group_name=self._args.resource_group_name,
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
