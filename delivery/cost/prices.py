"""The one table of prices, in USD. All other modules take their numbers from here.

List prices for pay-as-you-go in one region, without tax, discounts, reservations and free grants, noted by hand. They
differ between regions, some by half, and change without notice: read them again before deciding anything, from the
page that each one names (azure.microsoft.com/pricing/details/PAGE) or from the Azure Retail Prices API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOURS_PER_MONTH = 730
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
SECONDS_PER_HOUR = 3600

NOTICE = (
    "List prices of one region in USD, without tax, discounts and free grants, noted by hand: read them again before "
    "deciding. This is no quote."
)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one `unit` costs, and which page says so."""

    usd: float
    unit: str
    page: str


ACTIVE_VCPU = Price(usd=0.000024, unit="vCPU-second", page="container-apps")
IDLE_VCPU = Price(usd=0.000003, unit="vCPU-second", page="container-apps")
# The same whether a replica is idle or not.
APP_MEMORY = Price(usd=0.000003, unit="GiB-second", page="container-apps")
APP_REQUESTS = Price(usd=0.40, unit="million requests", page="container-apps")

# Of these series a server costs its number of cores times this.
DATABASE_VCORE = Price(usd=142.35 / HOURS_PER_MONTH / 2, unit="vCore-hour", page="postgresql/flexible-server")
DATABASE_SERIES = ("Ds_v3", "Dds_v4", "Dds_v5")
BURSTABLE_DATABASE: Mapping[str, Price] = {
    "Standard_B1ms": Price(usd=0.0199, unit="hour", page="postgresql/flexible-server"),
    "Standard_B2s": Price(usd=0.0796, unit="hour", page="postgresql/flexible-server"),
}
DATABASE_STORAGE = Price(usd=0.138, unit="GiB-month", page="postgresql/flexible-server")

_BLOB_LOCAL = 0.022
# Azure's ratios of the redundancies to the first are the same in all regions.
HOT_BLOB: Mapping[str, Price] = {
    sku: Price(usd=_BLOB_LOCAL * ratio, unit="GB-month", page="storage/blobs")
    for sku, ratio in {"Standard_LRS": 1, "Standard_ZRS": 1.25, "Standard_GRS": 2.2, "Standard_GZRS": 2.25}.items()
}

REGISTRY: Mapping[str, Price] = {
    "Basic": Price(usd=0.167, unit="day", page="container-registry"),
    "Standard": Price(usd=0.667, unit="day", page="container-registry"),
    "Premium": Price(usd=1.667, unit="day", page="container-registry"),
}

VAULT_OPERATIONS = Price(usd=0.03, unit="10,000 operations", page="key-vault")

PRIVATE_ENDPOINT = Price(usd=0.01, unit="hour", page="private-link")
PRIVATE_TRAFFIC = Price(usd=0.01, unit="GB", page="private-link")
PRIVATE_ZONE = Price(usd=0.50, unit="zone-month", page="dns")
NAT_GATEWAY = Price(usd=0.045, unit="hour", page="azure-nat-gateway")
NAT_TRAFFIC = Price(usd=0.045, unit="GB", page="azure-nat-gateway")
PUBLIC_ADDRESS = Price(usd=0.005, unit="hour", page="ip-addresses")
LOAD_BALANCER = Price(usd=0.025, unit="hour", page="load-balancer")

LOG_INGESTION = Price(usd=2.76, unit="GB", page="monitor")
LOG_RETENTION = Price(usd=0.10, unit="GB-month", page="monitor")
LOG_DAYS_INCLUDED = 31
METRIC_ALERT = Price(usd=0.10, unit="time series-month", page="monitor")
QUERY_ALERT: Mapping[str, Price] = {
    "PT5M": Price(usd=1.50, unit="rule-month", page="monitor"),
    "PT10M": Price(usd=1.00, unit="rule-month", page="monitor"),
    "PT15M": Price(usd=0.50, unit="rule-month", page="monitor"),
}

KUBERNETES_TIER: Mapping[str, Price] = {
    "Free": Price(usd=0, unit="hour", page="kubernetes-service"),
    "Standard": Price(usd=0.10, unit="hour", page="kubernetes-service"),
}
