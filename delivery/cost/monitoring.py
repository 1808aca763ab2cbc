"""What Azure Monitor bills. Source: Microsoft Learn, "Azure Monitor cost and usage"."""

from __future__ import annotations

from delivery.cost import prices
from delivery.cost.charge import Charge, priced
from delivery.cost.load import Load
from delivery.cost.prices import DAYS_PER_MONTH
from delivery.cost.resources import NotPricedError, Resource


def workspace(resource: Resource, load: Load) -> list[Charge]:
    """Logs are billed as they come in, and for each month that they are kept beyond the days included."""
    days = resource.number("retentionInDays", prices.LOG_DAYS_INCLUDED)
    charges = [Charge(what="logs, ingested", price=prices.LOG_INGESTION, quantity=load.log_gb)]
    if days > prices.LOG_DAYS_INCLUDED:
        months = (days - prices.LOG_DAYS_INCLUDED) / DAYS_PER_MONTH
        charges.append(Charge(what="logs, kept longer", price=prices.LOG_RETENTION, quantity=load.log_gb * months))
    return charges


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
