"""Reading the price file again from the public Azure Retail Prices API, which needs no login.

Source: Microsoft Learn, "Azure Retail Prices overview" (address, filter, fields of an answer). The names of meters are
Azure's and may change: a line whose query does not find exactly one price, in the unit that the line expects, is
refused, and then no line is changed.

The queries were never sent from here. Each name, unit and region agrees with an answer of the API that somebody has
published; three things are seen once only, or differently: that private zones have no region, that alerts have the
stack's, and that blobs of GRS are of the product General Block Blob v2 (also seen: Blob Storage).
"""

from __future__ import annotations

import datetime
import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

ENDPOINT: Final = "https://prices.azure.com/api/retail/prices"
_SECONDS: Final = 30
_UNIT: Final = "unitOfMeasure"
"""A field of an answer that the API's filter does not know."""

Ask = Callable[[str], list[Mapping[str, Any]]]
"""Returns the items that the API has for a filter. Raises OSError where it cannot be reached."""


class PriceError(RuntimeError):
    """The API cannot be reached, or does not answer as the lines of the file expect."""


def ask(filter_: str) -> list[Mapping[str, Any]]:
    """Ask the API. Prices are in USD unless another currency is asked for."""
    query = urlencode({"$filter": filter_})
    with urllib.request.urlopen(f"{ENDPOINT}?{query}", timeout=_SECONDS) as answer:  # noqa: S310 - a fixed address
        items: list[Mapping[str, Any]] = json.load(answer)["Items"]
    return items


def updated(document: Mapping[str, Any], region: str, *, today: datetime.date, ask: Ask = ask) -> Mapping[str, Any]:
    """Return the price file with the prices of a region. A line without a query keeps its price.

    Raises PriceError with all problems.
    """
    lines, problems = {}, []
    for name, line in document["prices"].items():
        try:
            lines[name] = line if line["query"] is None else {**line, "usd": _read(line["query"], region, ask)}
        except PriceError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise PriceError("\n".join(problems))
    return {"read": today.isoformat(), "region": region, "prices": lines}


def filter_of(query: Mapping[str, Any], region: str) -> str:
    """Return the API's filter of a line. A meter that is the same everywhere names its own region."""
    wanted = {"priceType": "Consumption", "armRegionName": region, **query}
    return " and ".join(f"{field} eq '{value}'" for field, value in wanted.items() if field != _UNIT)


def _read(query: Mapping[str, Any], region: str, ask: Ask) -> float:
    wanted = filter_of(query, region)
    try:
        items = ask(wanted)
    except (OSError, ValueError, KeyError) as error:
        raise PriceError(f"{ENDPOINT} did not answer: {error}; run it where that address can be reached.") from None
    # A free grant is a tier without a price; the file has the first one that costs something.
    paid = [item for item in items if item.get(_UNIT) == query[_UNIT] and float(item["retailPrice"]) > 0]
    first = min((_tier(item) for item in paid), default=0)
    prices = {float(item["retailPrice"]) for item in paid if _tier(item) == first}
    if len(prices) != 1:
        raise PriceError(
            f"got {len(prices)} prices in unit {query[_UNIT]} for {wanted}; expected 1. Correct the query of "
            "this line in delivery/cost/prices.json."
        )
    return prices.pop()


def _tier(item: Mapping[str, Any]) -> float:
    """The amount from which a price counts."""
    return float(item.get("tierMinimumUnits") or 0)
