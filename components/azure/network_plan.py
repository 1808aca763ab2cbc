"""Plans a virtual network: one CIDR in, the subnets' ranges out. Pure.

A subnet in use cannot be moved or resized, so a plan must not change under those that exist. Every subnet gets the
lowest free range that suits its size, in the order of `SubnetRole`: what is asked for later in that order never moves
what comes before. A subnet that is not asked for has its range reserved all the same: whichever backend comes or goes,
no subnet of another one moves.

Sources on Microsoft Learn, for the smallest sizes and the ranges that are refused: "Virtual network configuration"
(Container Apps: /27 with workload profiles, which is the only kind planned for here: the /23 environments without them
are legacy and know neither a NAT gateway nor routes), "Networking overview using VNet integration" (PostgreSQL flexible
server: /28), "API Server VNet Integration" (AKS: /28 for the API server), "Azure Virtual Network FAQ" (Azure keeps five
addresses of each subnet).
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from types import MappingProxyType


class SubnetRole(enum.StrEnum):
    """What a subnet is for. The order is the order of planning: new members are added at the end only."""

    POSTGRES = "postgres"
    PRIVATE_ENDPOINTS = "private-endpoints"
    CONTAINER_APPS = "container-apps"
    AKS_NODES = "aks-nodes"
    AKS_API = "aks-api"
    AKS_INGRESS = "aks-ingress"
    AKS_API_SECOND = "aks-api-second"


DEFAULT_PREFIXES: Mapping[SubnetRole, int] = {
    SubnetRole.POSTGRES: 28,
    SubnetRole.PRIVATE_ENDPOINTS: 27,
    # Twice the minimum: a rollout needs a service's addresses twice, an environment's subnet can never grow, and with
    # the two subnets above it takes the same /25 that a /27 would.
    SubnetRole.CONTAINER_APPS: 26,
    SubnetRole.AKS_NODES: 26,
    SubnetRole.AKS_API: 28,
    SubnetRole.AKS_INGRESS: 28,
    # Of a cluster that takes the place of the first: each API server takes up to nine of the eleven addresses.
    SubnetRole.AKS_API_SECOND: 28,
}
"""Prefix lengths that are used where the caller gives none."""

CONTAINER_APPS_SUBNETS: Mapping[SubnetRole, int] = MappingProxyType(
    {
        role: DEFAULT_PREFIXES[role]
        for role in (SubnetRole.POSTGRES, SubnetRole.PRIVATE_ENDPOINTS, SubnetRole.CONTAINER_APPS)
    }
)
"""The subnets of a network whose services run on Container Apps."""

AKS_SUBNETS: Mapping[SubnetRole, int] = DEFAULT_PREFIXES
"""The subnets of a network whose services run on AKS: every one, so that a stack that comes from Container Apps loses
none. A subnet's service link can outlive its environment by days, and Azure then refuses to delete it."""

AKS_POD_RANGE = IPv4Network("100.64.0.0/16")
"""Addresses of pods, outside of the virtual network: each node takes a /24 of it, so it is enough for 256 nodes."""

AKS_SERVICE_RANGE = IPv4Network("100.65.0.0/20")
"""Addresses of Kubernetes' services, which no packet on the network ever has."""

CALLERS_RULE = "from-callers-inbound"
"""The security rule of a subnet by which processes outside of the network are let in as compute is."""

_SMALLEST: Mapping[SubnetRole, int] = {
    SubnetRole.POSTGRES: 28,
    SubnetRole.PRIVATE_ENDPOINTS: 29,
    SubnetRole.CONTAINER_APPS: 27,
    SubnetRole.AKS_NODES: 28,
    SubnetRole.AKS_API: 28,
    SubnetRole.AKS_INGRESS: 29,
    SubnetRole.AKS_API_SECOND: 28,
}
AKS_API_SUBNETS = (SubnetRole.AKS_API, SubnetRole.AKS_API_SECOND)
_OF_CLUSTER = (SubnetRole.AKS_NODES, SubnetRole.AKS_INGRESS, *AKS_API_SUBNETS)

_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))

# Container Apps with workload profiles keeps these for itself.
_RESERVED = tuple(
    map(
        IPv4Network,
        (
            "172.30.0.0/16",
            "172.31.0.0/16",
            "100.100.0.0/17",
            "100.100.128.0/19",
            "100.100.160.0/19",
            "100.100.192.0/19",
        ),
    )
)


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """The range of the whole network, of each subnet, and of each that the network can get (`reserved`)."""

    cidr: IPv4Network
    subnets: Mapping[SubnetRole, IPv4Network] = field(default_factory=dict)
    reserved: Mapping[SubnetRole, IPv4Network] = field(default_factory=dict)


def plan(cidr: str, prefixes: Mapping[SubnetRole, int]) -> NetworkPlan:
    """Give every subnet its range. `prefixes` says which subnets there are, with their prefix lengths.

    Raises ValueError for a CIDR that is malformed, public, reserved by Container Apps, used by a cluster's pods or
    services, or too small (the message names the smallest prefix that fits), and for a subnet smaller than its service
    takes.
    """
    network = _network(cidr)
    wanted = {role: prefixes[role] for role in SubnetRole if role in prefixes}
    for role, prefix in wanted.items():
        if not 8 <= prefix <= _SMALLEST[role]:
            raise ValueError(f"prefix of subnet {role}: /{prefix} was given; allowed are /8 to /{_SMALLEST[role]}.")
    if SubnetRole.AKS_NODES in wanted:
        _check_cluster(network)
    sizes = {role: prefixes.get(role, DEFAULT_PREFIXES[role]) for role in SubnetRole}
    offsets = _offsets(sizes)
    end = max((offsets[role] + _size(prefix) for role, prefix in wanted.items()), default=1)
    if end > network.num_addresses:
        needs = ", ".join(f"{role} /{prefix}" for role, prefix in wanted.items())
        raise ValueError(
            f"cidr: {cidr} is too small for {needs}; the smallest prefix that fits is "
            f"/{32 - (end - 1).bit_length()}. Give a larger range; a network that is in use can only be extended."
        )
    first = int(network.network_address)
    possible = {
        role: IPv4Network((first + offsets[role], prefix))
        for role, prefix in sizes.items()
        if offsets[role] + _size(prefix) <= network.num_addresses
    }
    return NetworkPlan(
        cidr=network,
        subnets={role: possible[role] for role in wanted},
        reserved={role: of for role, of in possible.items() if role not in _OF_CLUSTER or not _of_pods(network)},
    )


def _network(cidr: str) -> IPv4Network:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise ValueError(f"cidr: {cidr!r} is no IPv4 range ({error}); write it as 10.20.0.0/24.") from error
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise ValueError(
            f"cidr: {cidr} is not private; choose a range within {', '.join(map(str, _PRIVATE))}, "
            "since a public one would hide the hosts that own it."
        )
    if taken := [str(reserved) for reserved in _RESERVED if network.overlaps(reserved)]:
        raise ValueError(f"cidr: {cidr} overlaps {', '.join(taken)}, which Container Apps keeps; choose another range.")
    return network


def _of_pods(network: IPv4Network) -> list[str]:
    """Return the ranges of a cluster's pods and services that a network overlaps."""
    return [str(own) for own in (AKS_POD_RANGE, AKS_SERVICE_RANGE) if network.overlaps(own)]


def _check_cluster(network: IPv4Network) -> None:
    """A pod would not find a host whose address is also a pod's or a service's."""
    if taken := _of_pods(network):
        raise ValueError(
            f"cidr: {network} overlaps {', '.join(taken)}, which the pods and services of the cluster have; choose "
            "another range."
        )


def _offsets(prefixes: Mapping[SubnetRole, int]) -> Mapping[SubnetRole, int]:
    """Where each block begins within the network: the lowest aligned place that the earlier ones leave free."""
    taken: dict[SubnetRole, range] = {}
    for role, prefix in prefixes.items():
        size, blocks = _size(prefix), taken.values()
        starts = sorted({0, *(-(-block.stop // size) * size for block in blocks)})
        start = next(s for s in starts if all(s + size <= block.start or block.stop <= s for block in blocks))
        taken[role] = range(start, start + size)
    return {role: block.start for role, block in taken.items()}


def _size(prefix: int) -> int:
    return 1 << (32 - prefix)
