"""Reading the price file again: what is asked, what is taken, and what is refused."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery import cli
from delivery.cost import command, prices, retail
from delivery.cost.retail import PriceError, updated

TODAY = datetime.date(2027, 2, 3)
LINE = {"usd": 1.0, "unit": "hour", "page": "aks"}
DOCUMENT: Mapping[str, Any] = {
    "read": "2026-01-01",
    "region": None,
    "prices": {
        "cluster": {**LINE, "query": {"serviceName": "AKS", "meterName": "Uptime", "unitOfMeasure": "1 Hour"}},
        "traffic": {
            **LINE,
            "query": {"meterName": "Data", "armRegionName": "Global", "unitOfMeasure": "1 GB"},
        },
        "free": {**LINE, "usd": 0, "query": None},
    },
}
ITEMS: Mapping[str, list[Mapping[str, Any]]] = {
    "Uptime": [
        {"retailPrice": 0.1, "unitOfMeasure": "1 Hour", "tierMinimumUnits": 0},
        {"retailPrice": 73, "unitOfMeasure": "1/Month", "tierMinimumUnits": 0},
    ],
    "Data": [
        {"retailPrice": 0.02, "unitOfMeasure": "1 GB", "tierMinimumUnits": 0},
        {"retailPrice": 0.01, "unitOfMeasure": "1 GB", "tierMinimumUnits": 1000},
        {"retailPrice": 0, "unitOfMeasure": "1 GB", "tierMinimumUnits": -1},
    ],
}


def answered(filter_: str) -> list[Mapping[str, Any]]:
    return next(items for meter, items in ITEMS.items() if f"meterName eq '{meter}'" in filter_)


def test_each_line_gets_the_price_in_its_unit_and_of_its_first_tier() -> None:
    found = updated(DOCUMENT, "westeurope", today=TODAY, ask=answered)
    assert (found["read"], found["region"]) == ("2027-02-03", "westeurope")
    assert {name: line["usd"] for name, line in found["prices"].items()} == {"cluster": 0.1, "traffic": 0.02, "free": 0}
    assert {name: {**line, "usd": 0} for name, line in found["prices"].items()} == {
        name: {**line, "usd": 0} for name, line in DOCUMENT["prices"].items()
    }


def test_the_filter_names_the_region_unless_the_meter_has_its_own() -> None:
    cluster, traffic = (DOCUMENT["prices"][name]["query"] for name in ("cluster", "traffic"))
    assert retail.filter_of(cluster, "westeurope") == (
        "priceType eq 'Consumption' and armRegionName eq 'westeurope'"
        " and serviceName eq 'AKS' and meterName eq 'Uptime'"
    )
    assert "armRegionName eq 'Global' and meterName eq 'Data'" in retail.filter_of(traffic, "westeurope")


def test_no_price_and_two_prices_are_refused_together() -> None:
    two: list[Mapping[str, Any]] = [
        {"retailPrice": usd, "unitOfMeasure": "1 GB", "tierMinimumUnits": 0} for usd in (1, 2)
    ]
    with pytest.raises(PriceError) as refused:
        updated(DOCUMENT, "x", today=TODAY, ask=lambda filter_: two if "Data" in filter_ else [])
    assert str(refused.value).splitlines()[0].startswith("cluster: got 0 prices in unit 1 Hour for priceType eq")
    assert str(refused.value).splitlines()[1].startswith("traffic: got 2 prices in unit 1 GB")


def test_without_the_api_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(_: str) -> list[Mapping[str, Any]]:
        raise OSError("no way out")

    file = tmp_path / "prices.json"
    file.write_text(json.dumps(DOCUMENT))
    monkeypatch.setattr(command, "FILE", file)
    monkeypatch.setattr(retail, "updated", lambda *given, **named: updated(*given, **named, ask=unreachable))
    assert cli.run(["cost", "--update", "westeurope"]) == 1
    assert "did not answer: no way out; run it where that address can be reached" in capsys.readouterr().err
    assert json.loads(file.read_text()) == DOCUMENT
    monkeypatch.setattr(retail, "updated", lambda *given, **named: updated(*given, **named, ask=answered))
    assert cli.run(["cost", "--update", "westeurope"]) == 0
    assert json.loads(file.read_text())["prices"]["cluster"]["usd"] == 0.1


def test_a_cost_without_a_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["cost"]) == 2
    assert "got no stack and no file; expected a stack, a file, or - for standard input" in capsys.readouterr().err


def test_every_line_that_costs_something_can_be_read_again() -> None:
    document = json.loads(prices.FILE.read_text())
    datetime.date.fromisoformat(document["read"])
    without = [name for name, line in document["prices"].items() if line["query"] is None]
    assert without == [name for name, line in document["prices"].items() if line["usd"] == 0] == ["kubernetesTier.Free"]
    assert all({"meterName", "unitOfMeasure"} <= line["query"].keys() for line in _queried(document))


def _queried(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [line for line in document["prices"].values() if line["query"]]


# As the API has answered others, who published it: fields, prices and tiers of 2026, of several regions.
_SERVER = "Azure Database for PostgreSQL"
_GENERAL = f"{_SERVER} Flexible Server General Purpose Ddsv5 Series Compute"
_STORED = "Az DB for PostgreSQL Flexible Server Storage"
PUBLISHED = [
    (_SERVER, _GENERAL, "vCore", "vCore", "1 Hour", [(0, 0.089)]),
    (_SERVER, _GENERAL, "2 vCore", "vCore", "1 Hour", [(0, 0.178)]),
    (_SERVER, _GENERAL, "8 vCore", "vCore", "1 Hour", [(0, 0.712)]),
    (_SERVER, _STORED, "Storage", "Storage Data Stored", "1 GB/Month", [(0, 0.115)]),
    ("Log Analytics", "Log Analytics", "Analytics Logs", "Analytics Logs Data Ingestion", "1 GB", [(0, 0), (5, 2.3)]),
    ("Azure Monitor", "Azure Monitor", "Alerts", "Alerts Metric Monitored", "1/Month", [(0, 0), (10, 0.1)]),
    ("Azure DNS", "Azure DNS", "Private", "Private Zone", "1", [(0, 0.5), (25, 0.1)]),
]
EXPECTED = {
    "databaseVcore": 0.089,
    "databaseStorage": 0.115,
    "logIngestion": 2.3,
    "metricAlert": 0.1,
    "privateZone": 0.5,
}


def published(filter_: str) -> list[Mapping[str, Any]]:
    """Answer as the API does: what is equal in every field of the filter, each tier an item of its own."""
    wanted = dict(re.findall(r"(\w+) eq '([^']*)'", filter_))
    return [
        {**item, "retailPrice": price, "tierMinimumUnits": tier}
        for service, product, sku, meter, unit, tiers in PUBLISHED
        for item in [
            {"serviceName": service, "productName": product, "skuName": sku, "meterName": meter, "unitOfMeasure": unit}
        ]
        if all(wanted.get(field, value) == value for field, value in item.items())
        for tier, price in tiers
    ]


def test_published_answers_have_one_price_for_a_line() -> None:
    document = json.loads(prices.FILE.read_text())
    lines = {name: document["prices"][name] for name in EXPECTED}
    found = updated({**document, "prices": lines}, "eastus", today=TODAY, ask=published)
    assert {name: line["usd"] for name, line in found["prices"].items()} == EXPECTED
