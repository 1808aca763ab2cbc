"""What networks bill."""

from __future__ import annotations

from delivery.cost import prices
from delivery.cost.charge import Charge, hourly, priced
from delivery.cost.load import Load
from delivery.cost.resources import Resource


def private_endpoint(_endpoint: Resource, load: Load) -> list[Charge]:
    """Traffic is billed in both directions."""
    return [
        hourly("endpoint", prices.PRIVATE_ENDPOINT),
        Charge(what="traffic", price=prices.PRIVATE_TRAFFIC, quantity=load.private_gb),
    ]


def private_zone(_zone: Resource, _load: Load) -> list[Charge]:
    """Its queries are fractions of a cent."""
    return [Charge(what="zone", price=prices.PRIVATE_ZONE, quantity=1)]


def nat_gateway(_gateway: Resource, load: Load) -> list[Charge]:
    """Its address is a resource of its own."""
    return [
        hourly("gateway", prices.NAT_GATEWAY),
        Charge(what="traffic", price=prices.NAT_TRAFFIC, quantity=load.outbound_gb),
    ]


def public_address(address: Resource, _load: Load) -> list[Charge]:
    """Standard ones; Basic ones are retired."""
    sku = address.text("sku.name", "Basic")
    return [hourly("address", priced({"Standard": prices.PUBLIC_ADDRESS}, sku, "sku"))]
