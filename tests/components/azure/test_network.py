"""The network's graph in its three shapes: as it comes, with everything, and hardened; and what it refuses."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pulumi
import pytest

from components.azure.network import Network, NetworkArgs, ZoneRole
from components.azure.network_plan import DEFAULT_PREFIXES, SubnetRole
from components.azure.private_endpoint import PrivateEndpoint, PrivateEndpointArgs, PrivateLinkGroup
from tests.support.recorder import UNKNOWN, Graph, record, shared

WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"
INBOUND_ALONE = {f"net-aks-{name}-rules" for name in ("nodes", "api", "api-second")}
SCENARIOS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    "max": {
        "cidr": "10.20.0.0/22",
        "subnets": dict(DEFAULT_PREFIXES),
        "fixed_outbound_address": True,
        "address_zones": ("1", "2", "3"),
        "internet_outbound": True,
        "private_endpoints": (),
        "client_ranges": ("10.0.0.0/8", "192.168.0.0/16"),
        "protect": True,
    },
    "hardened": {"client_ranges": ("10.9.0.0/24",), "fixed_outbound_address": True, "protect": True},
}


def arguments(**given: Any) -> NetworkArgs:
    fixed = {"location": "westeurope", "resource_group_name": "rg", "tags": {"environment": "test"}}
    fixed["workspace_id"] = WORKSPACE
    own = {"workspace_id": WORKSPACE, "network_name": "vnet-test", "cidr": "10.20.0.0/24"}
    return NetworkArgs(**{**fixed, **own, **given})


@shared
def graph_of(*, preview: bool, **given: Any) -> Graph:
    return record(lambda: Network("net", arguments(**given)), preview=preview)


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def built(request: pytest.FixtureRequest) -> Callable[..., Graph]:
    return partial(graph_of, preview=request.param)


def allowed(graph: Graph, subnet: str, direction: str) -> dict[str, tuple[str, str]]:
    """Rules that let something through: name to (peer, ports)."""
    found = {}
    for rule in graph.inputs(f"net-{subnet}-rules")["securityRules"]:
        if rule["direction"] != direction or rule["access"] != "Allow":
            continue
        peer = "source" if direction == "Inbound" else "destination"
        peers = rule.get(f"{peer}AddressPrefix") or ",".join(rule[f"{peer}AddressPrefixes"])
        found[rule["name"]] = (peers, rule.get("destinationPortRange") or ",".join(rule["destinationPortRanges"]))
    return found


def test_defaults_make_three_subnets_each_with_its_own_group(built: Callable[..., Graph]) -> None:
    graph = built()
    assert graph.of_type("azure-native:network:Subnet") == [
        "net-postgres",
        "net-private-endpoints",
        "net-container-apps",
    ]
    assert "subnets" not in graph.inputs("net-vnet")
    for role in ("postgres", "private-endpoints", "container-apps"):
        assert f"net-{role}-rules" in graph.dependencies(f"net-{role}")
    delegated = {
        role: [delegation["serviceName"] for delegation in graph.inputs(f"net-{role}").get("delegations", [])]
        for role in ("postgres", "private-endpoints", "container-apps")
    }
    assert delegated == {
        "postgres": ["Microsoft.DBforPostgreSQL/flexibleServers"],
        "private-endpoints": [],
        "container-apps": ["Microsoft.App/environments"],
    }
    endpoints = graph.inputs("net-private-endpoints")
    assert endpoints["privateEndpointNetworkPolicies"] == "NetworkSecurityGroupEnabled"
    assert endpoints["defaultOutboundAccess"] is False
    assert not graph.of_type("azure-native:network:PublicIPAddress")


def test_subnets_are_made_one_after_the_other(built: Callable[..., Graph]) -> None:
    graph = built(**SCENARIOS["max"])
    subnets = graph.of_type("azure-native:network:Subnet")
    assert len(subnets) == len(SubnetRole)
    for before, after in itertools.pairwise(subnets):
        assert before in graph.dependencies(after)


def test_what_is_published_names_every_subnet_and_zone() -> None:
    args = arguments(fixed_outbound_address=True)
    computed = {"azure-native:network:PublicIPAddress": {"ipAddress": "20.1.2.3"}}
    outputs = record(lambda: Network("net", args), preview=False, computed=computed).outputs("net")
    assert outputs["network_id"].endswith("/net-vnet")
    assert {role: i.split("/")[-1] for role, i in outputs["subnet_ids"].items()} == {
        role: f"net-{role}" for role in ("postgres", "private-endpoints", "container-apps")
    }
    assert {role: i.split("/")[-1] for role, i in outputs["zone_ids"].items()} == {
        role: f"net-{role}-zone" for role in ZoneRole
    }
    assert outputs["outbound_address"] == "20.1.2.3"


def test_in_a_preview_no_id_is_known() -> None:
    outputs = record(lambda: Network("net", arguments()), preview=True).outputs("net")
    assert set(outputs["subnet_ids"].values()) == {UNKNOWN}
    assert set(outputs["zone_ids"].values()) == {UNKNOWN}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_group_lets_the_internet_in_and_each_ends_with_a_refusal(built: Callable[..., Graph], scenario: str) -> None:
    graph = built(**SCENARIOS[scenario])
    for name in graph.of_type("azure-native:network:NetworkSecurityGroup"):
        rules = graph.inputs(name)["securityRules"]
        numbered = [(rule["direction"], rule["priority"]) for rule in rules]
        assert len(set(numbered)) == len(rules)
        assert len({rule["name"] for rule in rules}) == len(rules)
        for part in ("sourcePortRange", "destinationPortRange", "sourceAddressPrefix", "destinationAddressPrefix"):
            plural = f"{part}s" if part.endswith("Range") else f"{part}es"
            assert all((part in rule) != (plural in rule) for rule in rules)  # Azure takes one of the two, never none
        last = [rule for rule in rules if rule["priority"] == 4096]
        assert {rule["access"] for rule in last} == {"Deny"}
        assert {rule["direction"] for rule in last} == (
            {"Inbound"} if name in INBOUND_ALONE else {"Inbound", "Outbound"}
        )
        inbound = [rule for rule in rules if rule["direction"] == "Inbound" and rule["access"] == "Allow"]
        assert not {rule.get("sourceAddressPrefix") for rule in inbound} & {"*", "Internet", "0.0.0.0/0"}


def test_the_database_takes_its_ports_from_compute_only(built: Callable[..., Graph]) -> None:
    assert allowed(built(), "postgres", "Inbound") == {
        "from-itself-inbound": ("10.20.0.0/28", "5432,6432"),
        "from-container-apps-inbound": ("10.20.0.64/26", "5432"),
        # Of the previous cluster, or of the next one: in a move both backends run, and no other subnet gets this range.
        "from-aks-nodes-inbound": ("10.20.0.128/26", "5432"),
    }


@pytest.mark.parametrize("cidr", ["10.20.0.0/25", "100.64.3.0/24"], ids=["half", "pods"])
def test_a_network_that_gets_no_cluster_lets_none_in(built: Callable[..., Graph], cidr: str) -> None:
    """Half of one has no room for it, and one with the addresses of pods is refused with it."""
    graph = built(cidr=cidr)
    assert [*allowed(graph, "postgres", "Inbound")] == ["from-itself-inbound", "from-container-apps-inbound"]


def test_endpoints_answer_compute_and_call_nobody(built: Callable[..., Graph]) -> None:
    assert allowed(built(), "private-endpoints", "Inbound") == {
        "from-container-apps-inbound": ("10.20.0.64/26", "443"),
        "from-aks-nodes-inbound": ("10.20.0.128/26", "443"),
    }
    assert allowed(built(), "private-endpoints", "Outbound") == {}


def leaves(rule: Mapping[str, Any]) -> bool:
    return bool(rule["direction"] == "Outbound")


def flows(graph: Graph, subnet: str) -> dict[str, tuple[str, str, str]]:
    """What may enter a subnet: name to (source, destination, ports)."""
    rules = {rule["name"]: rule for rule in graph.inputs(f"net-{subnet}-rules")["securityRules"]}
    entering = allowed(graph, subnet, "Inbound")
    return {name: (peer, rules[name]["destinationAddressPrefix"], ports) for name, (peer, ports) in entering.items()}


def test_a_cluster_whose_pods_have_addresses_of_their_own_works_behind_its_groups(built: Callable[..., Graph]) -> None:
    """Node to node, node to pod and pod to pod: behind a refusal of all else, a cluster without them is broken."""
    graph = built(subnets=dict(DEFAULT_PREFIXES), client_ranges=("10.9.0.0/24", "10.10.0.0/16"))
    nodes, pods, api, ingress = "10.20.0.128/26", "100.64.0.0/16", "10.20.0.16/28", "10.20.0.192/28"
    second = "10.20.0.208/28"
    clients = "10.9.0.0/24,10.10.0.0/16"
    assert flows(graph, "aks-nodes") == {
        "clients-inbound": (clients, ingress, "443"),
        "load-balancer-inbound": ("AzureLoadBalancer", nodes, "*"),
        "node-to-node-inbound": (nodes, nodes, "*"),
        "node-to-pod-inbound": (nodes, pods, "*"),
        "pod-to-pod-inbound": (pods, pods, "*"),
        "api-server-to-node-inbound": (f"{api},{second}", nodes, "*"),
        "api-server-to-pod-inbound": (f"{api},{second}", pods, "*"),
    }
    # Who deploys is in the network, and need not be among the clients.
    for name, own in (("aks-api", api), ("aks-api-second", second)):
        assert flows(graph, name) == {
            "from-network-inbound": ("VirtualNetwork", own, "443"),
            "load-balancer-inbound": ("AzureLoadBalancer", own, "9988"),
            "from-nodes-inbound": (nodes, own, "443,4443"),
        }
    assert flows(graph, "aks-ingress") == {"clients-inbound": (clients, ingress, "443")}
    leaving = {
        name: [rule["name"] for rule in graph.inputs(f"net-{name}-rules")["securityRules"] if leaves(rule)]
        for name in ("aks-nodes", "aks-api", "aks-api-second", "aks-ingress")
    }
    # AKS calls names, which a group cannot tell apart; the address of the gateway calls nobody.
    assert leaving == {"aks-nodes": [], "aks-api": [], "aks-api-second": [], "aks-ingress": ["deny-all-outbound"]}
    # Pods call with the address of their node.
    assert flows(graph, "postgres")["from-aks-nodes-inbound"] == (nodes, "10.20.0.0/28", "5432")
    assert flows(graph, "private-endpoints")["from-aks-nodes-inbound"] == (nodes, "10.20.0.32/27", "443")
    for name in ("net-aks-api", "net-aks-api-second"):
        assert graph.inputs(name)["delegations"] == [
            {"name": "service", "serviceName": "Microsoft.ContainerService/managedClusters"}
        ]


HUB = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"


def test_clients_are_let_in_to_the_endpoints_that_they_call_and_resolve_their_names(
    built: Callable[..., Graph],
) -> None:
    blob = {"clients_reach": (PrivateLinkGroup.BLOB,), "client_networks": {"vnet-hub": HUB}}
    services = allowed(built(), "private-endpoints", "Inbound")
    peers = allowed(built(**blob), "private-endpoints", "Inbound")
    assert peers == {**services, "clients-inbound": ("VirtualNetwork", "443")}
    graph = built(**blob, client_ranges=("10.9.0.0/24", "10.10.0.0/16"))
    assert allowed(graph, "private-endpoints", "Inbound")["clients-inbound"] == ("10.9.0.0/24,10.10.0.0/16", "443")
    linked = {
        name: graph.inputs(name)["virtualNetwork"]["id"]
        for name in graph.of_type("azure-native:privatedns:VirtualNetworkLink")
    }
    assert [name for name, network in linked.items() if network == HUB] == ["net-blob-zone-link-vnet-hub"]
    assert {"net-blob-zone"} <= graph.dependencies("net-blob-zone-link-vnet-hub")


def test_networks_of_clients_that_call_no_endpoint_resolve_none(built: Callable[..., Graph]) -> None:
    graph = built(client_networks={"vnet-hub": HUB})
    assert not [name for name in graph.names if "vnet-hub" in name]
    assert "clients-inbound" not in allowed(graph, "private-endpoints", "Inbound")


@pytest.mark.parametrize(
    ("private", "public"),
    [
        ((), {"AzureKeyVault", "AzureContainerRegistry", "Storage.westeurope"}),
        ((PrivateLinkGroup.BLOB, PrivateLinkGroup.VAULT), {"AzureContainerRegistry", "Storage.westeurope"}),
        ((PrivateLinkGroup.VAULT, PrivateLinkGroup.REGISTRY), {"Storage.westeurope"}),
        ((PrivateLinkGroup.BLOB, PrivateLinkGroup.REGISTRY), {"AzureKeyVault"}),
    ],
)
def test_services_reach_the_public_addresses_of_what_has_no_endpoint(
    built: Callable[..., Graph], private: tuple[PrivateLinkGroup, ...], public: set[str]
) -> None:
    all_private = {peer for peer, _ in allowed(built(), "container-apps", "Outbound").values()}
    found = {peer for peer, _ in allowed(built(private_endpoints=private), "container-apps", "Outbound").values()}
    assert found - all_private == public
    assert all_private - found == (set() if private else {"10.20.0.32/27"})


def test_services_reach_the_internet_only_if_wanted(built: Callable[..., Graph]) -> None:
    closed = {peer for peer, _ in allowed(built(), "container-apps", "Outbound").values()}
    open_ = {peer for peer, _ in allowed(built(internet_outbound=True), "container-apps", "Outbound").values()}
    assert open_ - closed == {"Internet"}
    assert "168.63.129.16" in closed


@pytest.mark.parametrize("location", ["westeurope", pulumi.Output.from_input("westeurope")])
def test_layers_of_a_public_registry_come_from_the_region(location: pulumi.Input[str]) -> None:
    args = arguments(private_endpoints=(PrivateLinkGroup.BLOB, PrivateLinkGroup.VAULT), location=location)
    graph = record(lambda: Network("net", args), preview=False)
    peers = {peer for peer, _ in allowed(graph, "container-apps", "Outbound").values()}
    assert "Storage.westeurope" in peers
    assert "Storage" not in peers


def test_only_the_given_ranges_call_the_gateway(built: Callable[..., Graph]) -> None:
    assert allowed(built(), "container-apps", "Inbound")["clients-inbound"] == ("VirtualNetwork", "443,31443")
    graph = built(client_ranges=("10.9.0.0/24", "10.10.0.0/16"))
    assert allowed(graph, "container-apps", "Inbound")["clients-inbound"] == ("10.9.0.0/24,10.10.0.0/16", "443,31443")


@pytest.mark.parametrize("protect", [False, True])
def test_a_fixed_address_serves_compute_alone(built: Callable[..., Graph], protect: bool) -> None:
    graph = built(fixed_outbound_address=True, protect=protect, cidr="10.20.0.0/22", subnets=dict(DEFAULT_PREFIXES))
    served = {name for name in graph.of_type("azure-native:network:Subnet") if "natGateway" in graph.inputs(name)}
    assert served == {"net-container-apps", "net-aks-nodes"}
    address = graph.inputs("net-outbound-address")
    assert (address["publicIPAllocationMethod"], address["sku"]["name"]) == ("Static", "Standard")
    assert graph.options("net-outbound-address").protect is protect
    locks = graph.of_type("azure-native:authorization:ManagementLockByScope")
    assert len(locks) == protect
    assert all({"net-outbound-address", "net-outbound-address-logs"} <= graph.dependencies(lock) for lock in locks)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_all_that_azure_has_of_it_goes_to_the_workspace(built: Callable[..., Graph], scenario: str) -> None:
    graph = built(**SCENARIOS[scenario])
    sent = {name: graph.inputs(name) for name in graph.of_type("azure-native:monitor:DiagnosticSetting")}
    of = {
        kind: {f"{name}-logs" for name in graph.of_type(f"azure-native:network:{kind}")}
        for kind in ("NetworkSecurityGroup", "PublicIPAddress")
    }
    assert set(sent) == {"net-logs", *of["NetworkSecurityGroup"], *of["PublicIPAddress"]}
    assert {setting["workspaceId"] for setting in sent.values()} == {WORKSPACE}
    assert all(setting["logs"] == [{"categoryGroup": "allLogs", "enabled": True}] for setting in sent.values())
    # Azure refuses metrics of a security group: it has none.
    assert {name for name in sent if not sent[name]["metrics"]} == of["NetworkSecurityGroup"]
    for name in sent:
        assert (name.removesuffix("-logs") if name != "net-logs" else "net-vnet") in graph.dependencies(name)


def test_private_link_zones_come_with_private_endpoints_and_are_linked(built: Callable[..., Graph]) -> None:
    graph = built()
    zones = {
        name: graph.inputs(name)["privateZoneName"] for name in graph.of_type("azure-native:privatedns:PrivateZone")
    }
    assert zones == {
        "net-postgres-zone": "data.private.postgres.database.azure.com",
        "net-blob-zone": "privatelink.blob.core.windows.net",
        "net-vault-zone": "privatelink.vaultcore.azure.net",
        "net-registry-zone": "privatelink.azurecr.io",
    }
    for zone in zones:
        assert {zone, "net-vnet"} <= graph.dependencies(f"{zone}-link")
        assert graph.inputs(f"{zone}-link")["registrationEnabled"] is False
    assert built(private_endpoints=()).of_type("azure-native:privatedns:PrivateZone") == ["net-postgres-zone"]


@pytest.mark.parametrize("preview", [False, True])
def test_who_uses_a_zone_waits_for_its_link(preview: bool) -> None:
    def program() -> None:
        network = Network("net", arguments())
        PrivateEndpoint(
            "vault",
            PrivateEndpointArgs(
                location="westeurope",
                resource_group_name="rg",
                tags={},
                endpoint_name="pe-vault",
                subnet_id=network.subnet_ids[SubnetRole.PRIVATE_ENDPOINTS],
                target_id="/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v",
                group=PrivateLinkGroup.VAULT,
                zone_id=network.zone_ids[ZoneRole.VAULT],
            ),
        )

    graph = record(program, preview=preview)
    assert {"net-vault-zone", "net-vault-zone-link"} <= graph.dependencies("vault-names")


def test_turning_private_endpoints_on_moves_nothing(built: Callable[..., Graph]) -> None:
    def ranges(graph: Graph) -> dict[str, str]:
        return {n: graph.inputs(n)["addressPrefix"] for n in graph.of_type("azure-native:network:Subnet")}

    assert ranges(built(private_endpoints=())) == ranges(built())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"cidr": "10.20.0.0/26"}, "smallest prefix that fits is /25"),
        ({"cidr": "8.8.0.0/16"}, "not private"),
        ({"client_ranges": ("Internet",)}, "client_ranges: 'Internet' is no IPv4 range"),
        ({"address_zones": ("1",)}, "address_zones: given without fixed_outbound_address"),
        ({"subnets": {SubnetRole.POSTGRES: 28}}, "needs the subnet private-endpoints"),
        (
            {"private_endpoints": (PrivateLinkGroup.VAULT,), "clients_reach": (PrivateLinkGroup.BLOB,)},
            "clients_reach: blob has no private endpoint",
        ),
        ({"postgres_zone": "postgres.database.azure.com"}, "must end in .postgres.database.azure.com"),
        ({"network_name": "v" * 61}, "must have 2 to 60 characters"),
    ],
)
def test_what_could_not_work_is_refused_before_anything_exists(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        arguments(**given)
