"""Who reaches a resource."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from infra.guardrails import types
from infra.guardrails.resource import UNKNOWN, Resource, Stack
from infra.guardrails.rule import Broken, differs, properties

_NETWORK_OF = {
    types.STORAGE: ("publicNetworkAccess", "networkRuleSet"),
    types.VAULT: ("properties.publicNetworkAccess", "properties.networkAcls"),
}
_ANYBODY = ("*", "any", "internet")


def data_is_private(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse data that is reached from outside of the virtual network.

    An account or vault that some subnets reach by service endpoints has a public address, open to these alone.
    """
    if resource.type in _NETWORK_OF:
        access, rules = _NETWORK_OF[resource.type]
        yield from differs(resource, f"{rules}.defaultAction", "Deny")
        if resource.items(f"{rules}.ipRules"):
            yield Broken(path=f"{rules}.ipRules", value="addresses", allowed="none, as only the network reaches it")
        if resource.at(rules) is not UNKNOWN and not resource.at(f"{rules}.virtualNetworkRules"):
            yield from differs(resource, access, "Disabled")
    elif resource.type == types.SERVER:
        yield from differs(resource, "network.publicNetworkAccess", None, "Disabled")
        if resource.at("network.delegatedSubnetResourceId") is None:
            yield Broken(path="network.delegatedSubnetResourceId", value=None, allowed="a subnet of the stack")
    elif resource.type == types.FIREWALL_RULE:
        yield Broken(
            path="startIpAddress",
            value=resource.at("startIpAddress"),
            allowed="no firewall rule: the server is private",
        )
    elif resource.type == types.REGISTRY and stack.facts.private_registry:
        yield from differs(resource, "publicNetworkAccess", "Disabled")


anonymous_data = properties(
    {
        types.STORAGE: {"allowBlobPublicAccess": (False,)},
        types.CONTAINER: {"publicAccess": ("None",)},
        types.REGISTRY: {"anonymousPullEnabled": (False,)},
    }
)

other_tenants = properties(
    {types.STORAGE: {"allowCrossTenantReplication": (False,), "allowedCopyScope": ("AAD", "PrivateLink")}}
)


def environment_is_internal(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse services on the internet where the settings say `ingress: internal`."""
    if not stack.facts.public_gateway:
        yield from differs(resource, "vnetConfiguration.internal", True)
        yield from differs(resource, "publicNetworkAccess", "Disabled")


def cluster_is_closed(resource: Resource) -> Iterator[Broken]:
    """Refuse an API server that anybody reaches, or commands past the network."""
    profile = "apiServerAccessProfile"
    yield from differs(resource, f"{profile}.disableRunCommand", True)
    private, ranges = resource.at(f"{profile}.enablePrivateCluster"), resource.at(f"{profile}.authorizedIPRanges")
    if UNKNOWN in (private, ranges) or private is True:
        return
    given = [str(each) for each in ranges] if isinstance(ranges, list | tuple) else []
    if not given or any(_is_anybody(each) for each in given):
        yield Broken(
            path=f"{profile}.authorizedIPRanges",
            value=", ".join(given) or "none",
            allowed="ranges of whoever deploys, or a private API server",
        )


def balancer_is_internal(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse a load balancer on the internet where the settings say `ingress: internal`."""
    if stack.facts.public_gateway or resource.at("spec.type") != "LoadBalancer":
        return
    annotations = resource.at("metadata.annotations")
    if annotations is UNKNOWN:
        return
    name = "service.beta.kubernetes.io/azure-load-balancer-internal"
    found = annotations.get(name) if isinstance(annotations, Mapping) else None
    if found != "true":
        yield Broken(path=f"metadata.annotations[{name}]", value=found, allowed="true")


def anybody_comes_in(resource: Resource, stack: Stack) -> Iterator[Broken]:
    """Refuse a rule of the network that lets the internet in."""
    if stack.facts.public_gateway:
        return
    for index, rule in resource.items("securityRules"):
        if (rule.get("direction"), rule.get("access")) != ("Inbound", "Allow"):
            continue
        for source in _sources(rule):
            if _is_anybody(source):
                path = f"securityRules[{rule.get('name', index)}].sourceAddressPrefix"
                yield Broken(path=path, value=source, allowed="ranges of the clients, or VirtualNetwork")


def ends_with_a_denial(resource: Resource) -> Iterator[Broken]:
    """Refuse a group of network rules whose end is Azure's own, which let the whole network in."""
    if resource.at("securityRules") is UNKNOWN:
        return
    incoming = [rule for _, rule in resource.items("securityRules") if rule.get("direction") == "Inbound"]
    denials = [rule for rule in incoming if rule.get("access") == "Deny"]
    if not any(rule.get("sourceAddressPrefix") == rule.get("protocol") == "*" for rule in denials):
        names = ", ".join(str(rule.get("name")) for rule in incoming) or "none"
        yield Broken(
            path="securityRules", value=names, allowed="an inbound rule that denies all the others do not allow"
        )


def _sources(rule: Mapping[str, Any]) -> Iterator[str]:
    several = rule.get("sourceAddressPrefixes")
    for source in (rule.get("sourceAddressPrefix"), *(several if isinstance(several, list | tuple) else ())):
        if isinstance(source, str):
            yield source


def _is_anybody(source: str) -> bool:
    try:
        return ipaddress.ip_network(source, strict=False).prefixlen == 0
    except ValueError:
        return source.lower() in _ANYBODY
