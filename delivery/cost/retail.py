"""Reading the price file again from the public Azure Retail Prices API, which needs no login.

Source: Microsoft Learn, "Azure Retail Prices overview" (address, filter, fields of an answer). The names of meters are
Azure's and may change: a line whose query does not find exactly one price, in the unit that the line expects, is
refused, and then no line is changed.
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
# Fields of an answer that the API's filter does not know.
_UNFILTERED: Final = ("unitOfMeasure", "tierMinimumUnits")

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
    return " and ".join(f"{field} eq '{value}'" for field, value in wanted.items() if field not in _UNFILTERED)


def _read(query: Mapping[str, Any], region: str, ask: Ask) -> float:
    wanted = filter_of(query, region)
    try:
        items = ask(wanted)
    except (OSError, ValueError, KeyError) as error:
        raise PriceError(f"{ENDPOINT} did not answer: {error}; run it where that address can be reached.") from None
    prices = {
        float(item["retailPrice"])
        for item in items
        if all(item.get(field) == query[field] for field in _UNFILTERED if field in query)
    }
    if len(prices) != 1:
        raise PriceError(
            f"got {len(prices)} prices in unit {query['unitOfMeasure']} for {wanted}; expected 1. Correct the query of "
            "this line in delivery/cost/prices.json."
        )
    return prices.pop()
