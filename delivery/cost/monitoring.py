"""What Azure Monitor bills. Source: Microsoft Learn, "Azure Monitor cost and usage"."""

from __future__ import annotations

from collections.abc import Mapping

from delivery.cost import prices
from delivery.cost.charge import Charge, priced
from delivery.cost.compute import replica_hours
from delivery.cost.load import Load
from delivery.cost.prices import DAYS_PER_MONTH, HOURS_PER_MONTH, SECONDS_PER_HOUR
from delivery.cost.resources import NotPricedError, Resource

# Measured on the local stack: requests over a run of the smoke program, metrics halfway between the line of an idle
# replica (1,400) and of one that just started (2,400). A test there compares.
GATEWAY_REQUEST_BYTES = 490
SERVICE_REQUEST_BYTES = 350
METRICS_BYTES = 1900
# Names of app, environment, revision, replica and image that the table has beside each line. Assumed, not measured.
COLUMNS_BYTES = 500

# Rows that Container Insights writes a minute, of some 25 nodes, containers, Deployments and scalers, with all of their
# columns. Assumed, not measured.
INVENTORY_ROWS, INVENTORY_BYTES = 25, 1000

_BYTES_PER_GB = 1e9
_MILLION = 1e6


def workspace(resource: Resource, load: Load) -> list[Charge]:
    """Logs are billed as they come in, and for each month that they are kept beyond the days included."""
    days = resource.number("retentionInDays", prices.LOG_DAYS_INCLUDED)
    charges = [Charge(what="logs, ingested", price=prices.LOG_INGESTION, quantity=load.log_gb)]
    if days > prices.LOG_DAYS_INCLUDED:
        months = (days - prices.LOG_DAYS_INCLUDED) / DAYS_PER_MONTH
        charges.append(Charge(what="logs, kept longer", price=prices.LOG_RETENTION, quantity=load.log_gb * months))
    return charges


def app_logs(app: Resource, load: Load) -> list[Charge]:
    """The lines of an app's own: of requests, which gateway and service write one each of and which are counted where
    they come in; and of metrics, one of each replica every MLFLOW_RUNTIME_METRICS_SECONDS. Keeping them longer is not
    counted."""
    charges = []
    if app.given("configuration.ingress.external") is True:
        each = GATEWAY_REQUEST_BYTES + SERVICE_REQUEST_BYTES + 2 * COLUMNS_BYTES
        charges.append(_ingested("logs of requests", load.requests * _MILLION * each))
    if (seconds := _metrics_seconds(app)) is not None:
        lines = sum(replica_hours(app, load)) * SECONDS_PER_HOUR / seconds
        charges.append(_ingested("logs of metrics", lines * (METRICS_BYTES + COLUMNS_BYTES)))
    return charges


def cluster_requests(service: Resource, load: Load) -> list[Charge]:
    """The lines of requests, counted at the address where they come in."""
    if service.given("spec.type") != "LoadBalancer":
        return []
    each = GATEWAY_REQUEST_BYTES + SERVICE_REQUEST_BYTES + 2 * COLUMNS_BYTES
    return [_ingested("logs of requests", load.requests * _MILLION * each)]


def pod_logs(deployment: Resource, _load: Load) -> list[Charge]:
    """The lines of metrics of the fewest replicas; how many more a scaler adds is another object's."""
    seconds = _metrics_seconds(deployment, "spec.template.spec.containers")
    if seconds is None:
        return []
    lines = deployment.number("spec.replicas", 1) * HOURS_PER_MONTH * SECONDS_PER_HOUR / seconds
    return [_ingested("logs of metrics", lines * (METRICS_BYTES + COLUMNS_BYTES))]


def inventory(_rule: Resource, _load: Load) -> list[Charge]:
    """What a cluster's agent counts every minute."""
    return [_ingested("inventory of the cluster", INVENTORY_ROWS * INVENTORY_BYTES * HOURS_PER_MONTH * 60)]


def _metrics_seconds(app: Resource, path: str = "template.containers") -> float | None:
    for container in app.items(path):
        for variable in container.get("env") or () if isinstance(container, Mapping) else ():
            if isinstance(variable, Mapping) and variable.get("name") == "MLFLOW_RUNTIME_METRICS_SECONDS":
                return Resource(type=app.type, name=app.name, inputs=variable).number("value")
    return None


def _ingested(what: str, amount: float) -> Charge:
    return Charge(what=what, price=prices.LOG_INGESTION, quantity=amount / _BYTES_PER_GB)


def metric_alert(rule: Resource, _load: Load) -> list[Charge]:
    """One time series for each condition on each resource."""
    series = len(rule.items("scopes")) * len(rule.items("criteria.allOf"))
    if series == 0:
        raise NotPricedError("criteria.allOf or scopes is not given or not known")
    return [Charge(what="time series", price=prices.METRIC_ALERT, quantity=_if_enabled(rule, series))]


def query_alert(rule: Resource, _load: Load) -> list[Charge]:
    """The more often it looks, the more it costs."""
    often = rule.text("evaluationFrequency")
    price = priced(prices.QUERY_ALERT, often, "frequency")
    return [Charge(what=f"query every {often}", price=price, quantity=_if_enabled(rule, 1))]


def _if_enabled(rule: Resource, quantity: float) -> float:
    return 0 if rule.given("enabled") is False else quantity
