"""What the database, storage, the registry and Key Vault bill."""

from __future__ import annotations

import re

from delivery.cost import prices
from delivery.cost.charge import Charge, hourly, priced
from delivery.cost.load import Load
from delivery.cost.prices import DAYS_PER_MONTH, Price
from delivery.cost.resources import NotPricedError, Resource

_SKU = re.compile(r"Standard_([A-Z]+)(\d+)([a-z]*_v\d+)")


def database(server: Resource, _load: Load) -> list[Charge]:
    """A standby has the size and the storage of its server, so high availability doubles both."""
    sku = server.text("sku.name")
    servers = 1 if server.text("highAvailability.mode", "Disabled") == "Disabled" else 2
    price, units = compute(sku)
    gib = server.number("storage.storageSizeGB")
    return [
        hourly(sku if servers == 1 else f"{sku}, with its standby", price, servers * units),
        Charge(what="storage", price=prices.DATABASE_STORAGE, quantity=servers * gib),
    ]


def compute(sku: str) -> tuple[Price, int]:
    """A burstable size has a price of its own, the others one per core."""
    if sku in prices.BURSTABLE_DATABASE:
        return prices.BURSTABLE_DATABASE[sku], 1
    size = _SKU.fullmatch(sku)
    if size and f"{size[1]}{size[3]}" in prices.DATABASE_SERIES:
        return prices.DATABASE_VCORE, int(size[2])
    known = ", ".join([*prices.BURSTABLE_DATABASE, *prices.DATABASE_SERIES])
    raise NotPricedError(f"no price for size {sku}; there are prices for {known}")


def blob_storage(account: Resource, load: Load) -> list[Charge]:
    """As if all blobs were hot; versions and what is soft-deleted count too."""
    price = priced(prices.HOT_BLOB, account.text("sku.name"), "redundancy")
    return [Charge(what="hot blobs", price=price, quantity=load.blob_gb)]


def registry(resource: Resource, _load: Load) -> list[Charge]:
    """The storage that its tier includes is enough for the images of a stack."""
    tier = resource.text("sku.name")
    return [Charge(what=f"{tier} tier", price=priced(prices.REGISTRY, tier, "tier"), quantity=DAYS_PER_MONTH)]


def vault(_resource: Resource, load: Load) -> list[Charge]:
    """A vault costs what is done with it."""
    return [Charge(what="operations", price=prices.VAULT_OPERATIONS, quantity=load.vault_operations / 10_000)]
