"""One thing that Azure bills, and how the rules say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from delivery.cost.load import Load
from delivery.cost.prices import HOURS_PER_MONTH, Price
from delivery.cost.resources import NotPricedError, Resource


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What is billed for a resource, with its amount in a month, in the unit of its price."""

    what: str
    price: Price
    quantity: float


Rule = Callable[[Resource, Load], list[Charge]]
"""The charges of a resource at a load. Which ones there are depends on the resource alone, how much on the load too.

Pure. Raises NotPricedError where the resource's own inputs leave open what it costs.
"""


def hourly(what: str, price: Price, count: float = 1) -> Charge:
    """So many of it, all month long."""
    return Charge(what=what, price=price, quantity=count * HOURS_PER_MONTH)


def priced(table: Mapping[str, Price], key: str, field: str) -> Price:
    """The price of one of several kinds. Raises NotPricedError for a kind that has none."""
    if key not in table:
        raise NotPricedError(f"no price for {field} {key}; there are prices for {', '.join(table)}")
    return table[key]
