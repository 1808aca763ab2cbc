"""What Azure refuses in a network because of what is beside it: ranges of subnets, private endpoints, gateways.

Error codes are Azure's own where they are documented or were seen in public; the rest bear a name of the kind.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import PACKAGE
from delivery.offline_azure.addresses import arm_type, own_name
from delivery.offline_azure.errors import RefusedError

Resources = Mapping[str, Mapping[str, Any]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SMALLEST_SUBNET: Final = 29
_BLOB_PARTS: Final = ("blob", "dfs", "file", "queue", "table", "web")
# Microsoft Learn, "What is a private endpoint?", private-link resources and their subresources.
_GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "microsoft.app/managedenvironments": frozenset({"managedEnvironments"}),
    "microsoft.containerregistry/registries": frozenset({"registry"}),
    "microsoft.dbforpostgresql/flexibleservers": frozenset({"postgresqlServer"}),
    "microsoft.keyvault/vaults": frozenset({"vault"}),
    "microsoft.storage/storageaccounts": frozenset((*_BLOB_PARTS, *(f"{part}_secondary" for part in _BLOB_PARTS))),
}


def users(subnet: str, resources: Resources) -> list[str]:
    """Return the IDs of what has addresses in a subnet, in order: environments, servers, private endpoints."""
    found = [one["id"] for one in resources.values() if str(_subnet_of(one)).lower() == subnet.lower()]
    return sorted(map(str, found))


def _subnet_of(resource: Mapping[str, Any]) -> Any:
    inputs = resource["inputs"]
    match str(resource["type"]).removeprefix(PACKAGE):
        case "app:ManagedEnvironment":
            return (inputs.get("vnetConfiguration") or {}).get("infrastructureSubnetId")
        case "dbforpostgresql:Server":
            return (inputs.get("network") or {}).get("delegatedSubnetResourceId")
        case "network:PrivateEndpoint":
            return (inputs.get("subnet") or {}).get("id")
    return None


def prefixes(inputs: Mapping[str, Any]) -> list[str]:
    """Return the ranges of a subnet's inputs."""
    return [str(one) for one in (inputs.get("addressPrefix"), *(inputs.get("addressPrefixes") or [])) if one]


def subnet(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Add, change, or delete a virtual network subnet": inside of the network's space, from /29 on,
    not over another subnet."""
    network = identifier.rsplit("/subnets/", 1)[0]
    space = _ranges((resources[network.lower()]["inputs"].get("addressSpace") or {}).get("addressPrefixes") or [])
    for prefix in prefixes(inputs):
        try:
            own = ipaddress.ip_network(prefix)
        except ValueError:
            message = f"The address prefix {prefix} in subnet {own_name(identifier)} has an invalid CIDR notation."
            return RefusedError(400, "InvalidCIDRNotation", message)
        if own.version == 4 and own.prefixlen > _SMALLEST_SUBNET:
            message = f"Subnet '{own_name(identifier)}' is not valid: {prefix} is smaller than /{_SMALLEST_SUBNET}."
            return RefusedError(400, "NetcfgInvalidSubnet", message)
        if space and not any(_inside(own, one) for one in space):
            return _outside(own_name(identifier), own_name(network))
        for key, other in resources.items():
            if not key.startswith(f"{network.lower()}/subnets/") or key == identifier.lower():
                continue
            if any(own.overlaps(one) for one in _ranges(prefixes(other["inputs"]))):
                message = (
                    f"Subnet '{own_name(identifier)}' is not valid because its IP address range overlaps with that of "
                    f"an existing subnet '{own_name(key)}' in virtual network '{own_name(network)}'."
                )
                return RefusedError(400, "NetcfgSubnetRangesOverlap", message)
    return None


def network(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Create, change, or delete a virtual network": its space holds every subnet that there is."""
    space = _ranges((inputs.get("addressSpace") or {}).get("addressPrefixes") or [])
    for key, other in sorted(resources.items()):
        if key.startswith(f"{identifier.lower()}/subnets/") and key.count("/") == identifier.count("/") + 2:
            for own in _ranges(prefixes(other["inputs"])):
                if not any(_inside(own, one) for one in space):
                    return _outside(own_name(str(other["id"])), own_name(identifier))
    return None


def endpoint(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn: "What is a private endpoint?", "Azure Container Registry service tiers"; for servers inside of
    a network, issue 27732 of hashicorp/terraform-provider-azurerm."""
    for connection in inputs.get("privateLinkServiceConnections") or []:
        target = str(connection.get("privateLinkServiceId"))
        groups = _GROUPS.get(arm_type(target).lower())
        wrong = [group for group in connection.get("groupIds") or [] if groups is not None and group not in groups]
        if wrong:
            message = f"Cannot find the group id '{wrong[0]}' of the private link resource '{target}'."
            return RefusedError(400, "PrivateLinkServiceGroupIdNotFound", message)
        found = resources.get(target.lower(), {}).get("inputs") or {}
        if "/registries/" in target.lower() and (found.get("sku") or {}).get("name", "Premium") != "Premium":
            message = f"The registry '{own_name(target)}' supports private endpoints in the SKU Premium only."
            return RefusedError(400, "PrivateEndpointNotSupportedForSku", message)
        if "/flexibleservers/" in target.lower() and (found.get("network") or {}).get("delegatedSubnetResourceId"):
            message = f"The server '{own_name(target)}' is inside of a virtual network and takes no private endpoint."
            return RefusedError(400, "PrivateEndpointFeatureNotSupportedOnServer", message)
    return None


def gateway(identifier: str, inputs: Mapping[str, Any], resources: Resources) -> RefusedError | None:
    """Microsoft Learn, "Azure NAT Gateway resource": Standard addresses, each of one gateway."""
    for reference in inputs.get("publicIpAddresses") or []:
        key = str(reference.get("id")).lower()
        address = resources.get(key, {}).get("inputs") or {}
        if (address.get("sku") or {}).get("name", "Basic") != "Standard":
            message = f"The public IP address '{own_name(key)}' of a NAT gateway must be of the SKU Standard."
            return RefusedError(400, "NatGatewayCannotUseBasicPublicIPAddress", message)
        for other in resources.values():
            used = [str(one.get("id")).lower() for one in other["inputs"].get("publicIpAddresses") or []]
            if other["type"] == f"{PACKAGE}network:NatGateway" and key in used:
                message = f"The public IP address '{own_name(key)}' is used by '{other['id']}'."
                return RefusedError(400, "PublicIPAddressInUse", message)
    return None


def _outside(subnet_name: str, network_name: str) -> RefusedError:
    message = (
        f"Subnet '{subnet_name}' is not valid because its IP address range is outside the IP address range of virtual "
        f"network '{network_name}'."
    )
    return RefusedError(400, "NetcfgSubnetRangeOutsideVnet", message)


def _ranges(texts: list[str]) -> list[Network]:
    return list(_parsed(texts))


def _parsed(texts: list[str]) -> Iterator[Network]:
    for text in texts:
        try:
            yield ipaddress.ip_network(text)
        except ValueError:
            continue


def _inside(own: Network, space: Network) -> bool:
    return own.version == space.version and own.subnet_of(space)  # type: ignore[arg-type]
