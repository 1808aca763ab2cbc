"""The security groups of every stack let through what its workloads must reach, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.support import reach
from tests.support.reach import IN, OUT, Asked, Flow, Subnet
from tests.support.recorder import SUBSCRIPTION_ID
from tests.support.stacks import ANOTHER_OWNERS, PEER, STACKS, configuration, graph

ZONE = "azure-native:privatedns:PrivateZone"
CLIENTS = ("10.0.0.0/16", "192.168.7.0/24")
# What changes who is reached, and where.
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "public registry": {"privateRegistry": False},
    "private registry": {"privateRegistry": True},
    "clients in ranges": {"network": {"clientRanges": CLIENTS}},
    "clients that reach blobs": {"storage": {"clientsReachBlob": True}},
    "clients in ranges that reach blobs": {
        "network": {"clientRanges": CLIENTS},
        "storage": {"clientsReachBlob": True},
    },
    "webhooks": {"network": {"internetOutbound": True}},
    "fixed address": {"network": {"fixedOutboundAddress": True}},
    "another range": {"network": {"cidr": "172.16.4.0/25"}},
    "another region": {"location": "northeurope"},
    "a cluster": {"compute": "aks"},
    "the other cluster": {"compute": "aks", "aks": {"generation": "green"}},
    "a cluster that clients in ranges call": {
        "compute": "aks",
        "network": {"clientRanges": CLIENTS},
        "storage": {"clientsReachBlob": True},
    },
    "a cluster of another owner": {
        "compute": "aks",
        "aks": {"existingCluster": ANOTHER_OWNERS},
        "network": {"clientNetworks": [PEER]},
    },
    "a cluster, out of one of another owner": {"compute": "aks", "network": {"callerRanges": ["10.8.0.0/22"]}},
    "out of a cluster of another owner": {"network": {"callerRanges": ["10.8.0.0/22"]}},
}
CASES = [
    *(("dev", change) for change in CHANGES),
    *((stack, change) for stack in STACKS if stack != "dev" for change in ("as it is", "a cluster")),
    # prod's guardrails refuse it.
    ("staging", "public registry"),
]


def settings(stack: str, change: str) -> dict[str, Any]:
    written = configuration(stack)
    return {
        key: {**written.get(key, {}), **value} if isinstance(value, dict) else value
        for key, value in CHANGES[change].items()
    }


@cache
def looked_at(stack: str, change: str) -> tuple[list[Subnet], list[reach.Host]]:
    found = list(reach.subnets(graph(stack, **settings(stack, change))).values())
    given = {**configuration(stack), **settings(stack, change)}
    return found, reach.hosts(found, region=given["location"], clients=CLIENTS, others=nodes(stack, change))


@cache
def nodes(stack: str, change: str) -> Mapping[str, IPv4Address]:
    """Nodes outside of the stack's subnets that run its services, or may still do so in a move to what it has now."""
    given = settings(stack, change)
    recorded, found = graph(stack, **given), {}
    network = IPv4Network(recorded.inputs("network-vnet")["addressSpace"]["addressPrefixes"][0])
    # As the planner has them; half of such a network has no room for a cluster.
    if "network-aks-nodes" not in recorded.names and network.prefixlen < 25:
        found["nodes of a cluster"] = network[132]
    if "existingCluster" in given.get("aks", {}) or "callerRanges" in given.get("network", {}):
        found["nodes of another owner"] = IPv4Address("10.8.0.9")
    return found


@cache
def needed(stack: str, change: str) -> set[Flow]:
    found, universe = looked_at(stack, change)
    given = settings(stack, change)
    network = given.get("network", {})
    callers = [f"client in {each}" for each in network.get("clientRanges", ())] or ["VirtualNetwork"]
    senders = callers if given.get("storage", {}).get("clientsReachBlob") else ()
    asked = Asked(
        callers=callers, senders=senders, internet=network.get("internetOutbound", False), nodes=[*nodes(stack, change)]
    )
    listed = reach.needs(graph(stack, **given), asked)
    return {flow for need in listed for flow in need.flows(universe, reach.ports(found))}


def let_through(stack: str, change: str, subnet: Subnet) -> set[Flow]:
    found, universe = looked_at(stack, change)
    return reach.allowed(subnet, universe, reach.ports(found))


@pytest.mark.parametrize(("stack", "change"), CASES)
def test_what_must_be_reached_is_let_through_and_nothing_else(stack: str, change: str) -> None:
    found, _ = looked_at(stack, change)
    wanted, passing = needed(stack, change), set().union(*(let_through(stack, change, subnet) for subnet in found))
    assert shown(wanted - passing) == []  # cannot be reached
    assert shown(passing - wanted) == []  # is open for nothing


def shown(flows: set[Flow]) -> list[str]:
    return sorted(" ".join(map(str, each)) for each in flows)


def mutations(subnet: Subnet) -> Iterator[tuple[str, Subnet]]:
    """Each rule left out, each made wider, and more of them."""
    for number, rule in enumerate(subnet.rules):
        others = [*subnet.rules[:number], *subnet.rules[number + 1 :]]
        for what, rules in (("without", others), *wider(rule, others)):
            yield f"{subnet.name}: {what} {rule['name']}", replace(subnet, rules=rules)
    for rule in more(subnet):
        yield f"{subnet.name}: {json.dumps(rule)}", replace(subnet, rules=[*subnet.rules, rule])


def wider(rule: Mapping[str, Any], others: list[Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The rule for all of its peers, ports or protocols, where it is not that already; a refusal that comes first."""
    if rule["access"] == "Deny":
        if any(other["direction"] == rule["direction"] for other in others):
            yield "first", [*others, {**rule, "priority": 1}]
        return
    peer = "sourceAddressPrefix" if rule["direction"] == IN else "destinationAddressPrefix"
    yield "any peer of", [*others, {**without(rule, f"{peer}es"), peer: "*"}]
    if rule.get("destinationPortRange") != "*":
        yield "any port of", [*others, {**without(rule, "destinationPortRanges"), "destinationPortRange": "*"}]
    if rule["protocol"] != "*":
        yield "any protocol of", [*others, {**rule, "protocol": "*"}]


def without(rule: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != key}


def more(subnet: Subnet) -> Iterator[Mapping[str, Any]]:
    """Rules that would be convenient some day, without those that the subnet has."""
    rule = {"access": "Allow", "protocol": "Tcp", "priority": 2000, "sourcePortRange": "*", "sourceAddressPrefix": "*"}
    wide = {**rule, "name": "more", "destinationAddressPrefix": "*", "destinationPortRange": "443"}
    known = {each.get("destinationAddressPrefix") for each in subnet.rules}
    # Of nodes and API servers all may leave.
    refused = [each for each in subnet.rules if (each["direction"], each["access"]) == (OUT, "Deny")]
    for tag in ("AzureCloud", "EventHub", "Internet", "Sql", "Storage"):
        if refused and tag not in known:
            yield {**wide, "direction": OUT, "destinationAddressPrefix": tag}
    for tag in ("Internet", "VirtualNetwork"):
        yield {**wide, "direction": IN, "sourceAddressPrefix": tag, "destinationPortRange": "8079-8081"}


@pytest.mark.parametrize(
    ("stack", "change"),
    [
        *((stack, "as it is") for stack in STACKS),
        *(
            ("dev", change)
            for change in ("clients in ranges that reach blobs", "a cluster", "a cluster of another owner")
        ),
    ],
)
def test_each_rule_more_or_less_is_seen(stack: str, change: str) -> None:
    """Of a stack whose rules are right, every change of one is wrong."""
    found, _ = looked_at(stack, change)
    unseen, tried = [], 0
    for subnet in found:
        wanted = {flow for flow in needed(stack, change) if flow.subnet == subnet.name}
        for what, different in mutations(subnet):
            tried += 1
            if let_through(stack, change, different) == wanted:
                unseen.append(what)
    assert unseen == []
    assert tried > 40


def test_a_service_that_nobody_can_reach_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint and without a public side: no matter of rules."""
    monkeypatch.setattr(reach, "_endpoint_of", lambda *_: None)
    with pytest.raises(AssertionError, match="neither a private endpoint nor a public side"):
        reach.needs(graph("prod"), Asked(callers=()))


HUB = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/hub/providers/Microsoft.Network/virtualNetworks/Hub"


def test_clients_in_other_networks_resolve_what_they_call() -> None:
    """The gateway's name, and the account's as they send artifacts there: no database, vault or registry."""
    recorded = graph("dev", network={"clientNetworks": [HUB]}, storage={"clientsReachBlob": True})
    links = [recorded.inputs(name) for name in recorded.of_type("azure-native:privatedns:VirtualNetworkLink")]
    names = {recorded.inputs(name)["privateZoneName"]: name for name in recorded.of_type(ZONE)}
    assert {names[link["privateZoneName"]] for link in links if link["virtualNetwork"]["id"] == HUB} == {
        "apps-zone",
        "network-blob-zone",
    }
