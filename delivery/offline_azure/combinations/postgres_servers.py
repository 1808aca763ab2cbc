"""Microsoft.DBforPostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem

_BURSTABLE: Final = "Burstable"
_TIERS: Final = {"B": _BURSTABLE, "D": "GeneralPurpose", "E": "MemoryOptimized"}


def server(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, Azure Database for PostgreSQL: "Compute options", "High availability", "Networking with private
    access", "Microsoft Entra authentication", "Storage options"."""
    sku = inputs.get("sku") or {}
    size = re.fullmatch(r"Standard_([BDE])\d+\w*", str(sku.get("name")))
    if sku and (size is None or _TIERS[size[1]] != sku.get("tier")):
        message = f"The SKU '{sku.get('name')}' does not exist in the tier '{sku.get('tier')}'."
        yield "InvalidParameterValue", message
    standby = inputs.get("highAvailability") or {}
    mode = standby.get("mode", "Disabled")
    if mode != "Disabled" and sku.get("tier") == _BURSTABLE:
        yield "HANotSupportedForBurstableSkuTier", "High availability is not supported for the Burstable tier."
    zone, other = inputs.get("availabilityZone") or None, standby.get("standbyAvailabilityZone") or None
    if mode == "ZoneRedundant" and zone is not None and zone == other:
        yield "InvalidParameterValue", f"Zone '{zone}' cannot hold the server and its zone-redundant standby."
    if mode == "SameZone" and None not in (zone, other) and zone != other:
        yield "InvalidParameterValue", f"A standby in the same zone cannot be in zone '{other}' for zone '{zone}'."
    sign_in = inputs.get("authConfig") or {}
    ways = [sign_in.get("activeDirectoryAuth", "Disabled"), sign_in.get("passwordAuth", "Enabled")]
    if ways == ["Disabled", "Disabled"]:
        yield "InvalidAuthConfig", "At least one of 'activeDirectoryAuth' and 'passwordAuth' must be enabled."
    network = inputs.get("network") or {}
    if network.get("delegatedSubnetResourceId") and network.get("publicNetworkAccess") == "Enabled":
        yield "InvalidParameterValue", "A server inside of a virtual network cannot have public network access."
    zone_id = str(network.get("privateDnsZoneArmResourceId") or "")
    name = str(inputs.get("serverName"))
    if "/privatednszones/" in zone_id.lower():
        zone_name = zone_id.rsplit("/", 1)[-1].lower()
        if not re.search(r"\.postgres\.database(\.azure\.com)?\Z", zone_name) or zone_name.startswith(f"{name}."):
            message = f"The private DNS zone '{zone_name}' must end in '.postgres.database.azure.com', after a name."
            yield "InvalidPrivateDnsZoneName", message
