"""The prices of `prices.json`, in USD. All other modules take their numbers from here.

List prices for pay-as-you-go in one region, without tax, discounts, reservations and free grants, on the date that the
file names. They differ between regions, some by half, and change without notice. Each line names its page
(azure.microsoft.com/pricing/details/PAGE) and the query by which the public Azure Retail Prices API answers with it;
`mlflow-platform cost --update REGION` reads them all again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("prices.json")

HOURS_PER_MONTH = 730
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one `unit` costs, and which page says so."""

    usd: float
    unit: str
    page: str


_DOCUMENT: Final[Mapping[str, Any]] = json.loads(FILE.read_text())
_LINES: Final[Mapping[str, Mapping[str, Any]]] = _DOCUMENT["prices"]

NOTICE = (
    f"List prices of {_DOCUMENT['region'] or 'one region'} in USD on {_DOCUMENT['read']}, without tax, discounts and "
    "free grants: read them again before deciding. This is no quote."
)


def _price(name: str) -> Price:
    line = _LINES[name]
    return Price(usd=float(line["usd"]), unit=line["unit"], page=line["page"])


def _prices(group: str) -> Mapping[str, Price]:
    """Return the prices of several kinds, whose lines have the kind behind a dot."""
    names = [name for name in _LINES if name.startswith(f"{group}.")]
    return {name.removeprefix(f"{group}."): _price(name) for name in names}


ACTIVE_VCPU = _price("activeVcpu")
IDLE_VCPU = _price("idleVcpu")
# The same whether a replica is idle or not.
APP_MEMORY = _price("appMemory")
APP_REQUESTS = _price("appRequests")

# Of these series a server costs its number of cores times this.
DATABASE_VCORE = _price("databaseVcore")
DATABASE_SERIES = ("Ds_v3", "Dds_v4", "Dds_v5")
BURSTABLE_DATABASE = _prices("burstableDatabase")
DATABASE_STORAGE = _price("databaseStorage")

HOT_BLOB = _prices("hotBlob")
REGISTRY = _prices("registry")
VAULT_OPERATIONS = _price("vaultOperations")

PRIVATE_ENDPOINT = _price("privateEndpoint")
PRIVATE_TRAFFIC = _price("privateTraffic")
PRIVATE_ZONE = _price("privateZone")
NAT_GATEWAY = _price("natGateway")
NAT_TRAFFIC = _price("natTraffic")
PUBLIC_ADDRESS = _price("publicAddress")
LOAD_BALANCER = _price("loadBalancer")

LOG_INGESTION = _price("logIngestion")
LOG_RETENTION = _price("logRetention")
LOG_DAYS_INCLUDED = 31
METRIC_ALERT = _price("metricAlert")
QUERY_ALERT = _prices("queryAlert")

KUBERNETES_TIER = _prices("kubernetesTier")
# A node is a virtual machine; its OS disk is on the machine itself.
NODE = _prices("node")
