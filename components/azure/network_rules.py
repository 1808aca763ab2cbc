"""What may enter and leave each subnet: the least that its service needs, and an end rule that denies the rest. Pure.

Sources on Microsoft Learn: "Secure a virtual network in Azure Container Apps with network security groups" (workload
profiles), "Endpoint reference for Azure Container Registry" (layers come from Azure Storage, unless the registry has
private endpoints), "Networking overview using VNet integration" (PostgreSQL flexible server: ports 5432 and 6432 within
its subnet, Storage for the log archive, Entra for sign-in), "Virtual network service tags", "Azure CNI Overlay
networking" (node to node, node to pod, pod to pod), "API Server VNet Integration" (nodes and load balancer to the API
server), "Load balancer floating IP" (a packet to a Kubernetes load balancer keeps the frontend's address).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network

from components.azure.network_plan import AKS_API_SUBNETS, AKS_POD_RANGE, NetworkPlan, SubnetRole
from components.azure.private_endpoint import PrivateLinkGroup

COMPUTE = (SubnetRole.CONTAINER_APPS, SubnetRole.AKS_NODES)
"""Subnets from whose addresses our own processes call. A pod leaves its cluster with the address of its node."""

_PODS = str(AKS_POD_RANGE)
_API_PORTS = ("443", "4443")
_API_PROBE_PORT = ("9988",)
_POSTGRES_PORTS = ("5432",)
_STANDBY_PORTS = (*_POSTGRES_PORTS, "6432")  # within its subnet, where Azure asks for PgBouncer's port too
_HTTPS = ("443",)
_ANY = ("*",)
_LAST_PRIORITY = 4096
_IN, _OUT = network.SecurityRuleDirection.INBOUND, network.SecurityRuleDirection.OUTBOUND
_TCP, _EVERY = network.SecurityRuleProtocol.TCP, network.SecurityRuleProtocol.ASTERISK


class ServiceTag(enum.StrEnum):
    """Azure's names for the addresses of its services."""

    CONTAINER_REGISTRY = "AzureContainerRegistry"
    ENTRA = "AzureActiveDirectory"
    FRONT_DOOR = "AzureFrontDoor.FirstParty"
    INTERNET = "Internet"
    KEY_VAULT = "AzureKeyVault"
    LOAD_BALANCER = "AzureLoadBalancer"
    MICROSOFT_REGISTRY = "MicrosoftContainerRegistry"
    MONITOR = "AzureMonitor"
    STORAGE = "Storage"
    VIRTUAL_NETWORK = "VirtualNetwork"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a network is meant to carry, beyond what its services need.

    `region`: where the network is; images' layers come from no other one.
    `clients`: ranges from which the gateway is called; none means the virtual network and what it is peered with.
    `private_endpoints`: what is reached through them; the others are reached at their public addresses.
    `clients_reach_endpoints`: whether the clients call those endpoints themselves.
    `callers`: ranges of our own processes outside of the network, such as nodes of a cluster in a peer of it.
    `internet`: whether services may call HTTPS on the internet, as webhooks do.
    """

    region: pulumi.Input[str]
    clients: Sequence[str] = ()
    private_endpoints: Collection[PrivateLinkGroup] = tuple(PrivateLinkGroup)
    clients_reach_endpoints: bool = False
    callers: Sequence[str] = ()
    internet: bool = False


def rules(role: SubnetRole, plan: NetworkPlan, traffic: Traffic) -> list[network.SecurityRuleArgs]:
    """The rules of a subnet's network security group, in order of priority for each direction."""
    own = str(plan.subnets[role])
    # Also where there is no such subnet: in a move to another backend Azure has the new rules minutes before the
    # previous backend has served its last request. No other subnet ever gets these addresses.
    compute: dict[str, str | tuple[str, ...]] = {
        other.value: str(plan.reserved[other]) for other in COMPUTE if other in plan.reserved
    }
    if traffic.callers:
        compute["callers"] = (*traffic.callers,)
    clients = (*traffic.clients,) or ServiceTag.VIRTUAL_NETWORK
    listed: list[_Rule] = []
    if role is SubnetRole.AKS_NODES:
        listed += _into_nodes(own, plan, clients)
        # Outbound stays open: AKS needs names, which only a firewall can tell apart.
        return _finished(listed, deny=(_IN,))
    if role in AKS_API_SUBNETS:
        listed += _into_api_server(own, plan)
        return _finished(listed, deny=(_IN,))
    if role is SubnetRole.AKS_INGRESS:
        listed.append(_Rule("clients", _IN, _TCP, clients, own, _HTTPS))
    if role is SubnetRole.CONTAINER_APPS:
        listed += [
            # 31443 is where the environment's edge proxy listens behind its load balancer. Plain HTTP stays closed.
            _Rule("clients", _IN, _TCP, clients, own, (*_HTTPS, "31443")),
            _Rule("load-balancer", _IN, _TCP, ServiceTag.LOAD_BALANCER, own, ("30000-32767",)),
        ]
        listed += [_Rule("itself", way, _EVERY, own, own) for way in (_IN, _OUT)]
        listed += _outbound_of_services(own, plan, traffic)
    if role is SubnetRole.POSTGRES:
        listed.append(_Rule("from-itself", _IN, _TCP, own, own, _STANDBY_PORTS))
        listed += [_Rule(f"from-{name}", _IN, _TCP, source, own, _POSTGRES_PORTS) for name, source in compute.items()]
        listed.append(_Rule("to-itself", _OUT, _TCP, own, own, _STANDBY_PORTS))
        listed += [_to(tag, own) for tag in (ServiceTag.STORAGE, ServiceTag.ENTRA)]
    if role is SubnetRole.PRIVATE_ENDPOINTS and traffic.private_endpoints:
        listed += [_Rule(f"from-{name}", _IN, _TCP, source, own, _HTTPS) for name, source in compute.items()]
        if traffic.clients_reach_endpoints:
            listed.append(_Rule("clients", _IN, _TCP, clients, own, _HTTPS))
    return _finished(listed, deny=(_IN, _OUT))


@dataclass(frozen=True)
class _Rule:
    name: str
    direction: network.SecurityRuleDirection
    protocol: network.SecurityRuleProtocol
    source: str | tuple[str, ...]
    destination: pulumi.Input[str]
    ports: tuple[str, ...] = _ANY
    access: network.SecurityRuleAccess = network.SecurityRuleAccess.ALLOW


def _into_nodes(own: str, plan: NetworkPlan, clients: str | tuple[str, ...]) -> list[_Rule]:
    """What reaches nodes, and pods by them. Calls between pods are the matter of network policies in the cluster."""
    found = [
        _Rule("load-balancer", _IN, _TCP, ServiceTag.LOAD_BALANCER, own),
        _Rule("node-to-node", _IN, _EVERY, own, own),
        _Rule("node-to-pod", _IN, _EVERY, own, _PODS),
        _Rule("pod-to-pod", _IN, _EVERY, _PODS, _PODS),
    ]
    if ingress := plan.subnets.get(SubnetRole.AKS_INGRESS):
        # A packet that comes by the load balancer still has the frontend's address.
        found.append(_Rule("clients", _IN, _TCP, clients, str(ingress), _HTTPS))
    # Logs, exec and probes of the kubelet; webhooks of the system's pods.
    if servers := tuple(str(plan.subnets[role]) for role in AKS_API_SUBNETS if role in plan.subnets):
        targets = (("node", own), ("pod", _PODS))
        found += [_Rule(f"api-server-to-{name}", _IN, _TCP, servers, to) for name, to in targets]
    return found


def _into_api_server(own: str, plan: NetworkPlan) -> list[_Rule]:
    """Who deploys and who administers the cluster are in the network or a peer of it, and need not be clients."""
    found = [
        _Rule("from-network", _IN, _TCP, ServiceTag.VIRTUAL_NETWORK, own, _HTTPS),
        _Rule("load-balancer", _IN, _TCP, ServiceTag.LOAD_BALANCER, own, _API_PROBE_PORT),
    ]
    if nodes := plan.subnets.get(SubnetRole.AKS_NODES):
        found.append(_Rule("from-nodes", _IN, _TCP, str(nodes), own, _API_PORTS))
    return found


def _outbound_of_services(own: str, plan: NetworkPlan, traffic: Traffic) -> list[_Rule]:
    found = []
    if database := plan.subnets.get(SubnetRole.POSTGRES):
        found.append(_Rule("to-postgres", _OUT, _TCP, own, str(database), _POSTGRES_PORTS))
    endpoints = plan.subnets.get(SubnetRole.PRIVATE_ENDPOINTS)
    if endpoints and traffic.private_endpoints:
        found.append(_Rule("to-private-endpoints", _OUT, _TCP, own, str(endpoints), _HTTPS))
    # Azure's own DNS. Groups do not hold it back, but the environment stands still if a later rule of Azure's did.
    found.append(_Rule("to-dns", _OUT, _EVERY, own, "168.63.129.16", ("53",)))
    tags = [ServiceTag.MICROSOFT_REGISTRY, ServiceTag.FRONT_DOOR, ServiceTag.ENTRA, ServiceTag.MONITOR]
    public = {group for group in PrivateLinkGroup if group not in traffic.private_endpoints}
    if PrivateLinkGroup.REGISTRY in public:
        tags.append(ServiceTag.CONTAINER_REGISTRY)
    if PrivateLinkGroup.VAULT in public:
        tags.append(ServiceTag.KEY_VAULT)
    if traffic.internet:
        tags.append(ServiceTag.INTERNET)
    found += [_to(tag, own) for tag in tags]
    if public & {PrivateLinkGroup.REGISTRY, PrivateLinkGroup.BLOB}:
        # Layers of a public registry come from Storage. Of one region: an account elsewhere is nobody's of ours.
        found.append(_Rule(f"to-{ServiceTag.STORAGE}", _OUT, _TCP, own, _in_region(traffic.region), _HTTPS))
    return found


def _in_region(region: pulumi.Input[str]) -> pulumi.Input[str]:
    tag = f"{ServiceTag.STORAGE}."
    return tag + region if isinstance(region, str) else pulumi.Output.concat(tag, region)


def _to(tag: ServiceTag, own: str) -> _Rule:
    return _Rule(f"to-{tag}", _OUT, _TCP, own, tag.value, _HTTPS)


def _finished(
    listed: Sequence[_Rule], *, deny: Sequence[network.SecurityRuleDirection]
) -> list[network.SecurityRuleArgs]:
    """Number the rules, and deny what none of them allows: Azure's own last rules let the whole network in and out."""
    arguments = []
    for direction in (_IN, _OUT):
        allowed = [rule for rule in listed if rule.direction is direction]
        arguments += [_argument(rule, 100 + 10 * place) for place, rule in enumerate(allowed)]
    for direction in deny:
        refused = _Rule("deny-all", direction, _EVERY, "*", "*", access=network.SecurityRuleAccess.DENY)
        arguments.append(_argument(refused, _LAST_PRIORITY))
    return arguments


def _argument(rule: _Rule, priority: int) -> network.SecurityRuleArgs:
    several = isinstance(rule.source, tuple)
    return network.SecurityRuleArgs(
        name=f"{rule.name}-{rule.direction.value.lower()}".replace(".", "-"),
        priority=priority,
        direction=rule.direction,
        access=rule.access,
        protocol=rule.protocol,
        source_address_prefix=None if several else str(rule.source),
        source_address_prefixes=list(rule.source) if several else None,
        source_port_range="*",
        destination_address_prefix=rule.destination,
        destination_port_range=rule.ports[0] if len(rule.ports) == 1 else None,
        destination_port_ranges=list(rule.ports) if len(rule.ports) > 1 else None,
    )
