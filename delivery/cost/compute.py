"""What Container Apps and Kubernetes bill.

Sources: Microsoft Learn, "Billing in Azure Container Apps", "Free, Standard, and Premium pricing tiers for AKS"; the
page of prices of load balancers (the first five rules of each are one price).
"""

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
# The way out of a cluster that names none.
_OWN_BALANCER = "loadBalancer"
_INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


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


def cluster(resource: Resource, load: Load) -> list[Charge]:
    """The tier, the nodes of the pools that it is made with, and the way out that Azure makes for them."""
    tier = resource.text("sku.tier", "Free")
    charges = [hourly(f"{tier} tier", priced(prices.KUBERNETES_TIER, tier, "tier"))]
    for pool in resource.items("agentPoolProfiles"):
        charges += node_pool(Resource(type=resource.type, name=resource.name, inputs=pool), load)
    if resource.text("networkProfile.outboundType", _OWN_BALANCER) == _OWN_BALANCER:
        charges += [hourly("load balancer", prices.LOAD_BALANCER), hourly("public addresses", prices.PUBLIC_ADDRESS)]
    return charges


def node_pool(pool: Resource, load: Load) -> list[Charge]:
    """The fewest nodes all month, and while the services are at work as far towards the most as their replicas are."""
    size = pool.text("vmSize")
    if pool.given("enableAutoScaling") is True:
        fewest, most = pool.number("minCount"), pool.number("maxCount")
    else:
        fewest = most = pool.number("count", 1)
    hours = fewest * HOURS_PER_MONTH + math.ceil((most - fewest) * load.scale) * load.active_hours
    return [Charge(what=f"nodes of {size}", price=priced(prices.NODE, size, "vmSize"), quantity=hours)]


def cluster_service(service: Resource, _load: Load) -> list[Charge]:
    """An address that other networks reach is behind a load balancer of its own; one on the internet has its price."""
    if service.given("spec.type") != "LoadBalancer":
        return []
    charges = [hourly("load balancer", prices.LOAD_BALANCER)]
    annotations = service.given("metadata.annotations")
    inside = isinstance(annotations, Mapping) and annotations.get(_INTERNAL) == "true"
    return charges if inside else [*charges, hourly("public address", prices.PUBLIC_ADDRESS)]


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
