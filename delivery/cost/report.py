"""An estimate as a text to read and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from delivery.cost.estimate import Estimate, Line, Unbilled
from delivery.cost.load import Load
from delivery.cost.monitoring import COLUMNS_BYTES, GATEWAY_REQUEST_BYTES, METRICS_BYTES, SERVICE_REQUEST_BYTES
from delivery.cost.prices import HOURS_PER_MONTH, NOTICE

LOG_LINES = (
    f"A request writes a line of {GATEWAY_REQUEST_BYTES} bytes at the gateway and one of {SERVICE_REQUEST_BYTES} in "
    f"its service, a replica each minute one of {METRICS_BYTES} with its metrics; each comes with {COLUMNS_BYTES} "
    "bytes of columns (assumed)."
)
LEFT_OUT = (
    "free grants of the subscription, backups beyond the size of the database, operations on blobs and their copies "
    "to another region, traffic to the internet, queries of names, lines of requests and metrics that are kept beyond "
    "the days included"
)
IDLE_REPLICAS = (
    "Replicas are idle only without requests, below 0.01 cores and 1,000 bytes a second; else they are active."
)
_MONEY = 10


def text(estimate: Estimate) -> str:
    """Tables for a terminal: what is billed, by part of the stack, and what is not."""
    return "\n".join(_text(estimate))


def document(estimate: Estimate) -> dict[str, Any]:
    """The same with every number unrounded, for programs."""
    return {
        "currency": "USD",
        "notice": NOTICE,
        "idleReplicas": IDLE_REPLICAS,
        "logLines": LOG_LINES,
        "leftOut": LEFT_OUT,
        "load": {"idle": _load(estimate.idle), "load": _load(estimate.load)},
        "monthly": {"idle": estimate.idle_usd, "load": estimate.load_usd, "complete": not estimate.not_priced},
        "lines": [_line(line) for line in estimate.lines],
        "free": [_unbilled(one) for one in estimate.free],
        "notPriced": [_unbilled(one) for one in estimate.not_priced],
    }


def _text(estimate: Estimate) -> Iterator[str]:
    names = [f"{line.resource}: {line.what}" for line in estimate.lines]
    width = max([len(name) for name in names], default=20)
    yield f"{'USD a month':{width}}  {'idle':>{_MONEY}}  {'at load':>{_MONEY}}  price"
    for group, lines in estimate.groups().items():
        yield ""
        yield group.value
        for line in lines:
            yield _row(f"{line.resource}: {line.what}", line.idle_usd, line.load_usd, width) + f"  {_price(line)}"
        yield _row("", sum(line.idle_usd for line in lines), sum(line.load_usd for line in lines), width)
    yield ""
    yield _row("total", estimate.idle_usd, estimate.load_usd, width)
    yield ""
    yield f"About {estimate.idle_usd:.0f} to {estimate.load_usd:.0f} USD a month{_incomplete(estimate)}."
    yield f"Idle: {_spoken(estimate.idle)}."
    yield f"At load: {_spoken(estimate.load)}."
    if estimate.not_priced:
        yield ""
        yield "Not priced, and in no total:"
        yield from (f"  {one.resource} ({one.type}): {one.reason}" for one in estimate.not_priced)
    if estimate.free:
        yield ""
        yield "Free:"
        yield from _by_reason(estimate.free)
    yield ""
    yield IDLE_REPLICAS
    yield LOG_LINES
    yield f"Left out: {LEFT_OUT}."
    yield NOTICE


def _row(name: str, idle: float, load: float, width: int) -> str:
    return f"{name:{width}}  {idle:{_MONEY}.2f}  {load:{_MONEY}.2f}"


def _price(line: Line) -> str:
    least, most = _amount(line.idle_quantity), _amount(line.load_quantity)
    amount = least if least == most else f"{least} to {most}"
    return f"{_amount(line.price.usd)} / {line.price.unit}, {amount}"


def _amount(number: float) -> str:
    """Six decimals below 100, none above: prices of a second and seconds of a month in one column."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.6f}".rstrip("0").rstrip(".")


def _incomplete(estimate: Estimate) -> str:
    count = len(estimate.not_priced)
    if count == 0:
        return ""
    return f", and {count} resource{'' if count == 1 else 's'} without a price"


def _spoken(load: Load) -> str:
    amounts = {
        "million requests from outside": load.requests,
        "GB of other logs": load.log_gb,
        "GB of blobs": load.blob_gb,
        "GB through each private endpoint": load.private_gb,
        "GB outwards": load.outbound_gb,
        "operations on the vault": load.vault_operations,
        f"runs of each job for {load.job_minutes:g} minutes": load.job_runs,
    }
    work = (
        f"services at work for {load.active_hours:g} of {HOURS_PER_MONTH} hours, {load.scale:.0%} of the way from "
        "fewest to most replicas"
        if load.active_hours
        else "services not at work"
    )
    return "; ".join([work, *(f"{amount:,g} {what}" for what, amount in amounts.items() if amount)])


def _by_reason(free: Sequence[Unbilled]) -> Iterator[str]:
    for reason in dict.fromkeys(one.reason for one in free):
        yield f"  {reason}: {', '.join(one.resource for one in free if one.reason == reason)}"


def _line(line: Line) -> dict[str, Any]:
    return {
        "group": line.group.value,
        "resource": line.resource,
        "what": line.what,
        "unit": line.price.unit,
        "unitPrice": line.price.usd,
        "source": f"https://azure.microsoft.com/pricing/details/{line.price.page}/",
        "quantity": {"idle": line.idle_quantity, "load": line.load_quantity},
        "monthly": {"idle": line.idle_usd, "load": line.load_usd},
    }


def _unbilled(one: Unbilled) -> dict[str, str]:
    return {"resource": one.resource, "type": one.type, "reason": one.reason}


def _load(load: Load) -> dict[str, float]:
    return dict(vars(load))
