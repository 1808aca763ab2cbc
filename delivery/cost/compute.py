"""What Container Apps and Kubernetes bill. Source: Microsoft Learn, "Billing in Azure Container Apps"."""

from __future__ import annotations

import math
from collections.abc import Mapping

from delivery.cost import prices
from delivery.cost.charge import Charge, hourly, priced
from delivery.cost.load import Load
from delivery.cost.prices import HOURS_PER_MONTH, SECONDS_PER_HOUR
from delivery.cost.resources import NotPricedError, Resource

_CONSUMPTION = "Consumption"
# What Container Apps takes where a template says nothing (Learn, "Set scaling rules in Azure Container Apps").
_FEWEST, _MOST = 0, 10


def container_app(app: Resource, load: Load) -> list[Charge]:
    """Replicas are active in the active hours, and the fewest of them idle in all others.

    Azure takes one for idle only while it has no request, below 0.01 cores and 1,000 bytes a second.
    """
    cpu, memory = _size(app)
    active, idle = replica_hours(app, load)
    charges = [
        Charge(what="vCPU, active", price=prices.ACTIVE_VCPU, quantity=cpu * active * SECONDS_PER_HOUR),
        Charge(what="memory", price=prices.APP_MEMORY, quantity=memory * (active + idle) * SECONDS_PER_HOUR),
    ]
    if app.number("template.scale.minReplicas", _FEWEST) > 0:
        charges.append(Charge(what="vCPU, idle", price=prices.IDLE_VCPU, quantity=cpu * idle * SECONDS_PER_HOUR))
    if app.given("configuration.ingress.external") is True:
        charges.append(Charge(what="requests from outside", price=prices.APP_REQUESTS, quantity=load.requests))
    return charges


def replica_hours(app: Resource, load: Load) -> tuple[float, float]:
    """Hours of all replicas together in a month: while the services are at work, and in all others."""
    fewest = app.number("template.scale.minReplicas", _FEWEST)
    most = app.number("template.scale.maxReplicas", _MOST)
    busy = max(1, fewest + math.ceil((most - fewest) * load.scale))
    return busy * load.active_hours, fewest * (HOURS_PER_MONTH - load.active_hours)


def job(resource: Resource, load: Load) -> list[Charge]:
    """Active for as long as its executions run."""
    cpu, memory = _size(resource)
    seconds = load.job_runs * load.job_minutes * 60
    return [
        Charge(what="vCPU, active", price=prices.ACTIVE_VCPU, quantity=cpu * seconds),
        Charge(what="memory", price=prices.APP_MEMORY, quantity=memory * seconds),
    ]


def environment(resource: Resource, _load: Load) -> list[Charge]:
    """In a network of one's own Azure puts a load balancer and addresses before it, and bills them.

    Source: Microsoft Learn, "Configuring virtual networks in Azure Container Apps environments", "Managed resources".
    """
    for profile in resource.items("workloadProfiles"):
        kind = profile.get("workloadProfileType") if isinstance(profile, Mapping) else None
        if kind != _CONSUMPTION:
            raise NotPricedError(f"no price for workload profiles of type {kind}")
    if resource.given("vnetConfiguration.infrastructureSubnetId") is None:
        return []
    addresses = 1 if resource.given("vnetConfiguration.internal") is True else 2
    return [
        hourly("load balancer", prices.LOAD_BALANCER),
        hourly("public addresses", prices.PUBLIC_ADDRESS, addresses),
    ]


def cluster(resource: Resource, _load: Load) -> list[Charge]:
    """The tier alone; nodes in the cluster's own inputs have no price here."""
    if resource.items("agentPoolProfiles"):
        raise NotPricedError("no price for the machines of its node pools")
    tier = resource.text("sku.tier", "Free")
    return [hourly(f"{tier} tier", priced(prices.KUBERNETES_TIER, tier, "tier"))]


def _size(resource: Resource) -> tuple[float, float]:
    """Cores and GiB of a replica, over its containers."""
    profile = resource.text("workloadProfileName", _CONSUMPTION)
    if profile != _CONSUMPTION:
        raise NotPricedError(f"no price for workload profile {profile}")
    containers = [
        Resource(type=resource.type, name=resource.name, inputs=container)
        for container in resource.items("template.containers")
    ]
    if not containers:
        raise NotPricedError("template.containers is not given or not known")
    return (
        sum(container.number("resources.cpu") for container in containers),
        sum(_gib(container.text("resources.memory")) for container in containers),
    )


def _gib(memory: str) -> float:
    amount, unit = memory[:-2], memory[-2:]
    try:
        if unit == "Gi":
            return float(amount)
    except ValueError:
        pass
    raise NotPricedError(f"resources.memory {memory} is no number of Gi")
