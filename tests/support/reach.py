"""Who must reach what in a virtual network, and what its security groups let through. Pure, from a recorded graph.

Both answers are sets of `Flow` over the same `hosts`, so that they can be compared: a flow that is only `needed` is an
outage, one that is only `allowed` is a hole. A backend adds what its own subnets need as one more function like
`of_container_apps` and `of_cluster`.

Sources on Microsoft Learn: "How network security groups filter network traffic" (the first rule by priority decides,
Azure's own rules come last), "Secure a virtual network in Azure Container Apps with network security groups", "Endpoint
reference for Azure Container Registry" (layers come from Azure Storage unless the registry has private endpoints),
"Networking overview using VNet integration" (PostgreSQL flexible server), "Azure CNI Overlay networking", "API Server
VNet Integration", "Load balancer floating IP".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.support.recorder import Graph

IN, OUT = "Inbound", "Outbound"
TCP, UDP = "Tcp", "Udp"

_NSG = "azure-native:network:NetworkSecurityGroup"
_SUBNET = "azure-native:network:Subnet"
_CLUSTER = "azure-native:containerservice:ManagedCluster"
ANYBODY = "*"
PODS = "pods"


@dataclass(frozen=True, kw_only=True)
class Host:
    """One address, and the service tags that Azure counts it to."""

    name: str
    tags: frozenset[str] = frozenset()
    address: IPv4Address | None = None


class Flow(NamedTuple):
    """Packets through the security group of a subnet, to or from another host. `own` is the host on this side."""

    subnet: str
    own: str
    direction: str
    peer: str
    protocol: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet as it was registered, with the rules of its group, and hosts `behind` its own whose packets it sees."""

    name: str
    cidr: IPv4Network
    rules: Sequence[Mapping[str, Any]]
    behind: Sequence[Host] = ()

    @property
    def host(self) -> Host:
        """Return a machine in it."""
        return Host(name=self.name, tags=frozenset({"VirtualNetwork"}), address=self.cidr[4])


def subnets(graph: Graph) -> dict[str, Subnet]:
    """Return the subnets by their registered names, each with the rules of the group that it names."""
    groups = {_id(graph, name): graph.inputs(name)["securityRules"] for name in graph.of_type(_NSG)}
    found = {}
    for name in graph.of_type(_SUBNET):
        values = graph.inputs(name)
        rules = next(rules for ending, rules in groups.items() if values["networkSecurityGroup"]["id"].endswith(ending))
        found[name] = Subnet(name=name, cidr=IPv4Network(values["addressPrefix"]), rules=rules)
    for cluster in graph.of_type(_CLUSTER):
        parts = _parts(graph, cluster)
        pods = Host(name=PODS, address=IPv4Network(graph.inputs(cluster)["networkProfile"]["podCidr"])[777])
        # A packet that comes by the load balancer still has the frontend's address.
        found[parts.nodes] = replace(found[parts.nodes], behind=(pods, found[parts.ingress].host))
    return found


def hosts(
    found: Sequence[Subnet], *, region: str, clients: Iterable[str], others: Mapping[str, IPv4Address]
) -> list[Host]:
    """Return a host of each kind that rules can tell apart: the subnets', clients', Azure's services', the rest.

    `others` are machines of the network and its peers, by name.
    """
    return [
        *(subnet.host for subnet in found),
        *(host for subnet in found for host in subnet.behind if host.name == PODS),
        *(Host(name=name, tags=frozenset({"VirtualNetwork"}), address=address) for name, address in others.items()),
        *(
            Host(name=f"client in {each}", tags=frozenset({"VirtualNetwork"}), address=IPv4Network(each)[9])
            for each in clients
        ),
        Host(name="peered network", tags=frozenset({"VirtualNetwork"}), address=IPv4Address("10.250.250.250")),
        Host(name="names", tags=frozenset({"AzurePlatformDNS"}), address=IPv4Address("168.63.129.16")),
        Host(name="load balancer", tags=frozenset({"AzureLoadBalancer"})),
        Host(name="internet", tags=frozenset({"Internet"}), address=IPv4Address("203.0.113.9")),
        *(
            Host(name=tag, tags=frozenset({tag, "Internet", "AzureCloud"}))
            for tag in (
                "AzureActiveDirectory",
                "AzureContainerRegistry",
                "AzureFrontDoor.FirstParty",
                "AzureKeyVault",
                "AzureMonitor",
                "EventHub",
                "MicrosoftContainerRegistry",
                "Sql",
            )
        ),
        Host(name="Storage here", tags=frozenset({"Storage", f"Storage.{region}", "Internet", "AzureCloud"})),
        Host(name="Storage elsewhere", tags=frozenset({"Storage", "Storage.elsewhere", "Internet", "AzureCloud"})),
    ]


def allowed(subnet: Subnet, universe: Sequence[Host], ports: Iterable[int]) -> set[Flow]:
    """Return what the subnet's group lets through. What is left to Azure's own last rules counts as let through."""
    seen = sorted(ports)
    passing = set()
    for own, direction in itertools.product((subnet.host, *subnet.behind), (IN, OUT)):
        decided: dict[tuple[str, str, int], bool] = {}
        ruled = (rule for rule in subnet.rules if rule["direction"] == direction)
        for rule in sorted(ruled, key=lambda each: int(each["priority"])):
            for packet in _packets(own, rule, universe, seen):
                decided.setdefault(packet, rule["access"] == "Allow")
        every = itertools.product((host.name for host in universe), (TCP, UDP), seen)
        for packet in every:
            if decided.get(packet, True):
                passing.add(Flow(subnet.name, own.name, direction, *packet))
    return passing


def _packets(
    host: Host, rule: Mapping[str, Any], universe: Iterable[Host], seen: Iterable[int]
) -> Iterable[tuple[str, str, int]]:
    """Return the packets that a rule speaks of, as peer, protocol and port."""
    ends = {part: _of(rule, f"{part}AddressPrefix") for part in ("source", "destination")}
    own, other = ("source", "destination") if rule["direction"] == OUT else ("destination", "source")
    if not _is_in(host, ends[own]) or _of(rule, "sourcePortRange") != ["*"]:
        return ()
    peers = [peer.name for peer in universe if _is_in(peer, ends[other])]
    ranges = _of(rule, "destinationPortRange")
    covered = [port for port in seen if any(_covers(given, port) for given in ranges)]
    return itertools.product(peers, (TCP, UDP) if rule["protocol"] == "*" else (rule["protocol"],), covered)


def ports(found: Iterable[Subnet]) -> set[int]:
    """Return the ports at which a rule can begin or end, and some that none should name."""
    edges = {22, 80, 123, 443, 8080}
    for rule in itertools.chain.from_iterable(subnet.rules for subnet in found):
        for given in _of(rule, "destinationPortRange"):
            edges |= set(map(int, given.split("-"))) if given != "*" else {1, 65535}
    return {near for edge in edges for near in (edge - 1, edge, edge + 1) if 0 < near < 65536}


def _of(rule: Mapping[str, Any], part: str) -> list[str]:
    plural = f"{part}s" if part.endswith("Range") else f"{part}es"
    return [rule[part]] if rule.get(part) else list(rule[plural])


def _is_in(host: Host, prefixes: Sequence[str]) -> bool:
    return any(
        (host.address is not None and host.address in IPv4Network(given))
        if given[0].isdigit()
        else given == "*" or given in host.tags
        for given in prefixes
    )


def _covers(given: str, port: int) -> bool:
    first, _, last = given.partition("-")
    return given == "*" or int(first) <= port <= int(last or first)


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a subnet must let through, with the reason.

    `peer` is a host's name, a tag or ANYBODY, `own` the host on this side, without one that of the subnet; no ports are
    all ports.
    """

    why: str
    subnet: str
    direction: str
    peer: str
    own: str = ""
    ports: tuple[range, ...] = ()
    protocols: tuple[str, ...] = (TCP,)

    def flows(self, universe: Sequence[Host], seen: Iterable[int]) -> Iterator[Flow]:
        """Yield its packets between hosts and at ports that are looked at."""
        for peer, protocol, port in itertools.product(universe, self.protocols, seen):
            wanted = not self.ports or any(port in each for each in self.ports)
            if wanted and self.peer in (ANYBODY, peer.name, *peer.tags):
                yield Flow(self.subnet, self.own or self.subnet, self.direction, peer.name, protocol, port)


HTTPS = (range(443, 444),)
_POSTGRES = (range(5432, 5433),)
_POSTGRES_AND_STANDBY = (*_POSTGRES, range(6432, 6433))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What no resource tells: who calls (names of hosts, or a tag), who of them sends artifacts to the account, and
    whether services call the internet. `nodes` are hosts outside of the stack's subnets that run its services: now, or
    before or after a move."""

    callers: Sequence[str]
    senders: Sequence[str] = ()
    internet: bool = False
    nodes: Sequence[str] = ()


def needs(graph: Graph, asked: Asked) -> list[Need]:
    """Return all that the network of a stack has to let through, whichever backend it has.

    The services may run on the other one as well: in a move from it they still do.
    """
    (apps,) = _delegated(graph, "Microsoft.App/environments")
    clusters = [_parts(graph, cluster) for cluster in graph.of_type(_CLUSTER)]
    found = [*of_container_apps(apps, asked), *_of_workloads(graph, apps), *_of_database(graph)]
    for parts in clusters:
        found += of_cluster(parts, asked)
    # What leaves nodes is not held back.
    for nodes in (*(parts.nodes for parts in clusters), *asked.nodes):
        found += (need for need in _of_workloads(graph, nodes) if need.direction == IN)
    for name in _endpoints(graph, "StorageAccount"):
        found += [
            Need(why="artifacts that clients send themselves", subnet=name, direction=IN, peer=each, ports=HTTPS)
            for each in asked.senders
        ]
    return found


def of_container_apps(apps: str, asked: Asked) -> Iterator[Need]:
    """Yield what an environment with workload profiles needs for itself, and its callers."""
    for direction in (IN, OUT):
        yield Need(why="replicas and proxy", subnet=apps, direction=direction, peer=apps, protocols=(TCP, UDP))
    yield Need(why="system images", subnet=apps, direction=OUT, peer="MicrosoftContainerRegistry", ports=HTTPS)
    yield Need(why="layers of system images", subnet=apps, direction=OUT, peer="AzureFrontDoor.FirstParty", ports=HTTPS)
    yield Need(why="logs and metrics", subnet=apps, direction=OUT, peer="AzureMonitor", ports=HTTPS)
    yield Need(why="DNS", subnet=apps, direction=OUT, peer="names", ports=(range(53, 54),), protocols=(TCP, UDP))
    yield Need(
        why="probes of the load balancer",
        subnet=apps,
        direction=IN,
        peer="AzureLoadBalancer",
        ports=(range(30000, 32768),),
    )
    for caller in asked.callers:
        # 31443 is the edge proxy behind the load balancer.
        yield Need(why="calls", subnet=apps, direction=IN, peer=caller, ports=(*HTTPS, range(31443, 31444)))
    if asked.internet:
        yield Need(why="webhooks", subnet=apps, direction=OUT, peer="Internet", ports=HTTPS)


class Parts(NamedTuple):
    """The subnets of a cluster, by their registered names. API servers are in `servers`, or come there."""

    nodes: str
    ingress: str
    servers: Sequence[str]


def of_cluster(parts: Parts, asked: Asked) -> Iterator[Need]:
    """Yield what a cluster with an overlay needs for itself, and its callers."""
    nodes, both = parts.nodes, (TCP, UDP)
    # AKS calls names, which a group cannot tell apart.
    for subnet, own in ((nodes, ""), (nodes, PODS), (nodes, parts.ingress), *((each, "") for each in parts.servers)):
        yield Need(why="names of AKS", subnet=subnet, own=own, direction=OUT, peer=ANYBODY, protocols=both)
    for own, peer in (("", nodes), (PODS, nodes), (PODS, PODS)):
        yield Need(why="overlay", subnet=nodes, own=own, direction=IN, peer=peer, protocols=both)
    yield Need(why="probes of the load balancer", subnet=nodes, direction=IN, peer="AzureLoadBalancer")
    for server in parts.servers:
        for own in ("", PODS):
            yield Need(why="kubelet and webhooks", subnet=nodes, own=own, direction=IN, peer=server)
        tunnel = (*HTTPS, range(4443, 4444))
        yield Need(why="kubelet and pods", subnet=server, direction=IN, peer=nodes, ports=tunnel)
        yield Need(why="who deploys", subnet=server, direction=IN, peer="VirtualNetwork", ports=HTTPS)
        probe = (range(9988, 9989),)
        yield Need(why="probe of its balancer", subnet=server, direction=IN, peer="AzureLoadBalancer", ports=probe)
    for caller in asked.callers:
        yield Need(why="calls", subnet=parts.ingress, direction=IN, peer=caller, ports=HTTPS)
        yield Need(why="calls", subnet=nodes, own=parts.ingress, direction=IN, peer=caller, ports=HTTPS)


def _parts(graph: Graph, cluster: str) -> Parts:
    """Return the subnets that the pools, the delegations and the gateway's address name."""
    (nodes,) = {pool["vnetSubnetID"] for pool in graph.inputs(cluster)["agentPoolProfiles"]}
    (annotations,) = (
        values["metadata"]["annotations"]
        for values in map(graph.inputs, graph.of_type("kubernetes:core/v1:Service"))
        if values["spec"].get("type") == "LoadBalancer"
    )
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    wanted = annotations[f"{prefix}-internal-subnet"]
    (ingress,) = (name for name in graph.of_type(_SUBNET) if graph.inputs(name)["subnetName"] == wanted)
    if IPv4Address(annotations[f"{prefix}-ipv4"]) not in IPv4Network(graph.inputs(ingress)["addressPrefix"]):
        raise AssertionError(f"the gateway's address is not in {ingress}")
    servers = _delegated(graph, "Microsoft.ContainerService/managedClusters")
    return Parts(nodes=_named(graph, nodes), ingress=ingress, servers=servers)


def _delegated(graph: Graph, service: str) -> list[str]:
    """Return the subnets that are for a service of Azure's alone."""
    return [
        name
        for name in graph.of_type(_SUBNET)
        if service in [each["serviceName"] for each in graph.inputs(name).get("delegations") or ()]
    ]


class _Workload(NamedTuple):
    container: Mapping[str, Any]
    signs_in: bool


def _workloads(graph: Graph) -> Iterator[_Workload]:
    for name in itertools.chain(*(graph.of_type(f"azure-native:app:{kind}") for kind in ("ContainerApp", "Job"))):
        values = graph.inputs(name)
        (container,) = values["template"]["containers"]
        yield _Workload(container, bool(values["identity"]["userAssignedIdentities"]))
    for name in itertools.chain(
        *(graph.of_type(f"kubernetes:{kind}") for kind in ("apps/v1:Deployment", "batch/v1:Job"))
    ):
        pod = graph.inputs(name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield _Workload(container, "serviceAccountName" in pod)


def _of_workloads(graph: Graph, apps: str) -> Iterator[Need]:
    """Yield what the containers have to reach from a host, by their image, identity and variables."""
    for container, signs_in in _workloads(graph):
        given = {item["name"]: item["value"] for item in container["env"]}
        yield from _service(graph, apps, _registry(graph, container["image"]), "AzureContainerRegistry", "Storage here")
        if signs_in:
            yield Need(why="tokens", subnet=apps, direction=OUT, peer="AzureActiveDirectory", ports=HTTPS)
        for variable, value in given.items():
            host = urlsplit(value).hostname or ""
            if variable.endswith("KEY_VAULT_URL"):
                yield from _service(graph, apps, _called(graph, "keyvault:Vault", "vaultName", host), "AzureKeyVault")
            if variable.endswith("BLOB_CONTAINER_URL"):
                account = _called(graph, "storage:StorageAccount", "accountName", host)
                yield from _service(graph, apps, account, "Storage here")
            if variable.endswith(("DATABASE_URL", "DATABASE_ADMIN_URL")):
                yield from _database(graph, apps, host)


def _service(graph: Graph, apps: str, target: str, *public: str) -> Iterator[Need]:
    """Yield the way to a service of Azure's: through its private endpoint, or to its public addresses."""
    endpoint = _endpoint_of(graph, target)
    if endpoint is not None:
        yield Need(why=target, subnet=apps, direction=OUT, peer=endpoint, ports=HTTPS)
        yield Need(why=target, subnet=endpoint, direction=IN, peer=apps, ports=HTTPS)
        return
    values = graph.inputs(target)
    access = values.get("publicNetworkAccess") or values["properties"]["publicNetworkAccess"]
    if access != "Enabled":
        raise AssertionError(f"{target} has neither a private endpoint nor a public side")
    for tag in public:
        yield Need(why=target, subnet=apps, direction=OUT, peer=tag, ports=HTTPS)


def _database(graph: Graph, apps: str, host: str) -> Iterator[Need]:
    (server,) = graph.of_type("azure-native:dbforpostgresql:Server")
    if not host.endswith("postgres.database.azure.com"):
        raise AssertionError(f"{host} is not the server {server}")
    database = _named(graph, graph.inputs(server)["network"]["delegatedSubnetResourceId"])
    yield Need(why=server, subnet=apps, direction=OUT, peer=database, ports=_POSTGRES)
    yield Need(why=server, subnet=database, direction=IN, peer=apps, ports=_POSTGRES)


def _of_database(graph: Graph) -> Iterator[Need]:
    """Yield what a server needs for itself: its standby, its archive, and who signs in."""
    for server in graph.of_type("azure-native:dbforpostgresql:Server"):
        own = _named(graph, graph.inputs(server)["network"]["delegatedSubnetResourceId"])
        for direction in (IN, OUT):
            yield Need(why="standby", subnet=own, direction=direction, peer=own, ports=_POSTGRES_AND_STANDBY)
        yield Need(why="archive of the log", subnet=own, direction=OUT, peer="Storage", ports=HTTPS)
        yield Need(why="sign-in", subnet=own, direction=OUT, peer="AzureActiveDirectory", ports=HTTPS)


def _endpoints(graph: Graph, kind: str) -> list[str]:
    """Return the subnets of the private endpoints of a type."""
    return [
        endpoint
        for name in graph.names
        if graph.type(name).endswith(f":{kind}") and (endpoint := _endpoint_of(graph, name)) is not None
    ]


def _endpoint_of(graph: Graph, target: str) -> str | None:
    """Return the subnet of the private endpoint of a resource, with a name for it in the network, or None."""
    for name in graph.of_type("azure-native:network:PrivateEndpoint"):
        values = graph.inputs(name)
        (connection,) = values["privateLinkServiceConnections"]
        if connection["privateLinkServiceId"].endswith(_id(graph, target)):
            return _named(graph, values["subnet"]["id"])
    return None


def _registry(graph: Graph, image: str) -> str:
    (registry,) = graph.of_type("azure-native:containerregistry:Registry")
    if not image.startswith("registry.azurecr.io/"):
        raise AssertionError(f"{image} is not in {registry}")
    return registry


def _called(graph: Graph, token: str, key: str, host: str) -> str:
    (found,) = (
        name for name in graph.of_type(f"azure-native:{token}") if graph.inputs(name)[key] == host.split(".", 1)[0]
    )
    return found


def _named(graph: Graph, identifier: str) -> str:
    (found,) = (name for name in graph.of_type(_SUBNET) if identifier.endswith(_id(graph, name)))
    return found


def _id(graph: Graph, name: str) -> str:
    """Return the end of the id that the recorder gives to a resource."""
    return f"/providers/{graph.type(name).removeprefix('azure-native:').replace(':', '/')}/{name}"
