"""Microsoft.Network: networks, security groups, addresses, gateways, DNS records."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem, ip_range
from delivery.offline_azure.limits import at

_LONGEST_PREFIX: Final = 29
# "Azure Virtual Network FAQ", "What address ranges can I use in my virtual networks?"
_NEVER: Final = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "255.255.255.255/32"),
    )
)
# "Azure subscription and service limits", network security groups.
_MOST_RULES: Final = 1000
_MOST_PREFIXES: Final = 4000
_TAG: Final = r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)?"


def network(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Virtual Network FAQ": ranges are written by their first address and do not overlap."""
    ranges = []
    for prefix in at(inputs, "addressSpace.addressPrefixes[]"):
        try:
            ranges.append(ipaddress.ip_network(prefix))
        except ValueError:
            yield "InvalidCIDRNotation", f"The address prefix {prefix} has an invalid CIDR notation."
            continue
        if not _is_written_by_length(str(prefix)):
            yield "InvalidCIDRNotation", f"The address prefix {prefix} has an invalid CIDR notation."
        if any(ranges[-1].overlaps(one) for one in _NEVER if one.version == ranges[-1].version):
            yield "AddressPrefixNotAllowed", f"The address prefix {prefix} holds addresses that no network can have."
        if ranges[-1].version == 4 and ranges[-1].prefixlen > _LONGEST_PREFIX:
            yield "InvalidAddressPrefix", f"The address prefix {prefix} is smaller than /{_LONGEST_PREFIX}."
    for number, one in enumerate(ranges):
        if any(one.overlaps(other) for other in ranges[number + 1 :]):
            yield "InvalidAddressSpace", f"The address prefix {one} overlaps with another one of the network."


def security_group(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure network security groups overview": a priority is of one rule in each direction, and a
    service tag is the only prefix of its side."""
    rules = inputs.get("securityRules") or []
    for field, code in (("name", "SecurityRuleDuplicateName"), ("priority", "SecurityRuleConflict")):
        counted = Counter(
            (str(rule.get(field)).lower(), rule.get("direction") if field == "priority" else "") for rule in rules
        )
        for (value, _), times in counted.items():
            if times > 1:
                yield code, f"Security rules have conflicting {field} '{value}'."
    if len(rules) > _MOST_RULES:
        yield "SecurityRuleCountExceeded", f"There are {len(rules)} rules; a group has at most {_MOST_RULES}."
    for rule in rules:
        yield from _families(rule)
        for side in ("source", "destination"):
            for field in ("AddressPrefix", "PortRange"):
                many = f"{side}{field}es" if field == "AddressPrefix" else f"{side}{field}s"
                if rule.get(f"{side}{field}") and rule.get(many):
                    message = f"The rule '{rule.get('name')}' has both '{side}{field}' and '{many}'."
                    yield "SecurityRuleParameterConflict", message
            prefixes = [*at(rule, f"{side}AddressPrefix"), *(rule.get(f"{side}AddressPrefixes") or [])]
            for prefix in prefixes:
                if not _is_prefix(str(prefix)):
                    message = f"Security rule has invalid Address prefix. Value provided: {prefix}"
                    yield "SecurityRuleInvalidAddressPrefix", message
            if len(prefixes) > _MOST_PREFIXES:
                message = f"The rule '{rule.get('name')}' has {len(prefixes)} prefixes; allowed: {_MOST_PREFIXES}."
                yield "SecurityRuleTooManyAddressPrefixes", message
            tags = [prefix for prefix in prefixes if re.fullmatch(_TAG, str(prefix))]
            if len(prefixes) > 1 and tags:
                message = f"The rule '{rule.get('name')}' has the service tag {tags[0]} beside other prefixes."
                yield "SecurityRuleServiceTagNotAlone", message
        for ports in (*at(rule, "destinationPortRange"), *(rule.get("destinationPortRanges") or [])):
            if ports != "*" and not _is_port_range(str(ports)):
                yield "SecurityRuleInvalidPortRange", f"The port range '{ports}' is invalid."


def _is_prefix(text: str) -> bool:
    """A service tag, `*`, an address, or a range that is written by its first address."""
    if text == "*" or re.fullmatch(_TAG, text):
        return True
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return _is_written_by_length(text)


def _is_written_by_length(text: str) -> bool:
    """Whether a range has its length, 24, behind the slash and not its mask, 255.255.255.0."""
    _, slash, length = text.partition("/")
    return length.isdigit() if slash else True


def _families(rule: Mapping[str, Any]) -> Iterator[Problem]:
    """One rule is about IPv4 or about IPv6."""
    found = set()
    for side in ("source", "destination"):
        for prefix in (*at(rule, f"{side}AddressPrefix"), *(rule.get(f"{side}AddressPrefixes") or [])):
            with contextlib.suppress(ValueError):
                found.add(ipaddress.ip_network(str(prefix)).version)
    if len(found) > 1:
        yield "SecurityRuleMixedAddressFamilies", f"The rule '{rule.get('name')}' has prefixes of IPv4 and of IPv6."


def _is_port_range(text: str) -> bool:
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    return found is not None and int(found[1]) <= int(found[2] or found[1]) <= 65535


def public_address(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Public IP addresses": a Standard address is static; Basic ones are retired."""
    name, method = (inputs.get("sku") or {}).get("name", "Basic"), inputs.get("publicIPAllocationMethod", "Dynamic")
    if inputs.get("sku") and name == "Basic":
        yield "BasicSkuPublicIPAddressRetired", "Basic SKU public IP addresses can no longer be created."
    if name == "Standard" and "publicIPAllocationMethod" in inputs and method != "Static":
        yield "StandardSkuPublicIPAddressMustBeStatic", "A Standard SKU public IP address must be static."
    zones = inputs.get("zones") or []
    if not set(zones) <= {"1", "2", "3"} or len(set(zones)) < len(zones):
        yield "InvalidAvailabilityZone", f"The zones {zones} are not different ones of 1, 2 and 3."


def nat_gateway(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure NAT Gateway and availability zones": a Standard gateway is in one zone or in none."""
    if (inputs.get("sku") or {}).get("name", "Standard") == "Standard" and len(inputs.get("zones") or []) > 1:
        yield "NatGatewayMultipleZonesNotSupported", "A Standard NAT gateway is in one zone at most."


def record_set(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Overview of DNS zones and records": an A record is an IPv4 address."""
    for address in at(inputs, "aRecords[].ipv4Address"):
        if ip_range(address) is None or "/" in str(address):
            yield "BadRequest", f"The record '{address}' is no IPv4 address."
