"""Microsoft.DBforPostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem

_BURSTABLE: Final = "Burstable"
_TIERS: Final = {"B": _BURSTABLE, "D": "GeneralPurpose", "E": "MemoryOptimized"}

# "Storage options": sizes in GiB of Premium SSD, each with the performance tier that it begins with.
_BASELINES: Final = {
    32: "P4",
    64: "P6",
    128: "P10",
    256: "P15",
    512: "P20",
    1024: "P30",
    2048: "P40",
    4095: "P50",
    4096: "P50",
    8192: "P60",
    16384: "P70",
    32767: "P80",
}
_PERFORMANCE: Final = tuple(dict.fromkeys(_BASELINES.values()))
# The tiers from P60 on are those of disks above 4 TiB alone.
_OF_LARGE_DISKS: Final = _PERFORMANCE.index("P60")
_SSD_V2: Final = range(32, 65537)
# "Create an Azure Database for PostgreSQL flexible server": names that an administrator cannot have.
_RESERVED_LOGINS: Final = frozenset(
    {"azure_superuser", "azure_pg_admin", "admin", "administrator", "root", "guest", "public"}
)


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
    yield from _storage(inputs.get("storage") or {})
    login = str(inputs.get("administratorLogin") or "")
    if login.lower() in _RESERVED_LOGINS or login.lower().startswith("pg_"):
        yield "InvalidParameterValue", f"The administrator login '{login}' is reserved."
    if login and ways[1] == "Enabled" and "administratorLoginPassword" not in inputs:
        yield "InvalidParameterValue", f"The administrator '{login}' has no 'administratorLoginPassword'."
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


def _storage(storage: Mapping[str, Any]) -> Iterator[Problem]:
    size, tier = storage.get("storageSizeGB"), storage.get("tier")
    if storage.get("type") == "PremiumV2_LRS":
        if size is not None and size not in _SSD_V2:
            yield "InvalidParameterValue", f"The storage size {size} GiB is invalid for Premium SSD v2: 32 to 65536."
        return
    if size is not None and size not in _BASELINES:
        yield (
            "InvalidParameterValue",
            f"The storage size {size} GiB is invalid. Allowed: {', '.join(map(str, _BASELINES))}.",
        )
        return
    if tier is None:
        return
    if tier not in _PERFORMANCE:
        yield "InvalidParameterValue", f"The storage tier '{tier}' is invalid. Allowed: {', '.join(_PERFORMANCE)}."
    elif size is not None:
        rank, least = _PERFORMANCE.index(tier), _PERFORMANCE.index(_BASELINES[size])
        if rank < least or (rank >= _OF_LARGE_DISKS) != (least >= _OF_LARGE_DISKS):
            yield "InvalidParameterValue", f"The storage tier '{tier}' is not one of a disk of {size} GiB."
