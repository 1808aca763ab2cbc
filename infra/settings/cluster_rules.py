"""What a cluster has no room for, and what it cannot reach: the stack's own one, and one of another owner."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping, Sequence
from functools import partial

from components.azure.aks_node_pool import NodePool
from components.azure.network_plan import AKS_SUBNETS, SubnetRole, plan
from components.mlflow.roles import Role
from components.mlflow.topology import Size
from infra.rights import SECRETS
from infra.settings.aks import ExistingClusterSettings
from infra.settings.azure import AzureSettings, Exposure
from infra.settings.problems import Problems

_OF_OWN_CLUSTER = (
    *("kubernetesVersion", "nodeSize", "minNodes", "maxNodes", "systemNodes"),
    *("uptimeSla", "authorizedRanges", "administrators"),
)


def check(problems: Problems, azure: AzureSettings, sizes: Mapping[Role, Size]) -> None:
    """Record what neither a cluster of the stack's own nor another owner's can hold, or reach."""
    chosen = azure.aks
    if chosen.existing_cluster is not None:
        _existing_cluster_is_its_owners(problems)
        _existing_cluster_reaches_the_data(problems, azure, chosen.existing_cluster)
    else:
        _own_cluster_holds_the_services(problems, azure, sizes)
    if chosen.certificate is not None and any(chosen.certificate in named for named in SECRETS.values()):
        field = "aks.certificate"
        allowed = (
            "the name of a certificate: this is a secret of the services, and the gateway may read its certificate"
        )
        problems.note(field, chosen.certificate, allowed, problems.remove(field))
    if azure.exposure is Exposure.PUBLIC:
        allowed = "internal with compute aks, whose load balancer has an address of the network alone"
        problems.note("ingress", str(azure.exposure), allowed, problems.remove("ingress"))


def _own_cluster_holds_the_services(problems: Problems, azure: AzureSettings, sizes: Mapping[Role, Size]) -> None:
    chosen = azure.aks
    problems.built(
        "network.cidr",
        azure.network.cidr,
        problems.reset("network.cidr"),
        lambda: plan(azure.network.cidr, AKS_SUBNETS),
    )
    most = _most_nodes(chosen.system_nodes)
    if chosen.min_nodes > chosen.max_nodes:
        fits = chosen.min_nodes <= most
        remedy = problems.set("aks.maxNodes", chosen.min_nodes) if fits else problems.remove("aks.minNodes")
        problems.note("aks.minNodes", chosen.min_nodes, f"at most maxNodes, {chosen.max_nodes}", remedy)
    if chosen.max_nodes > most:
        allowed = f"at most {most}, which have addresses in the nodes' subnet, a third more in an upgrade"
        problems.note("aks.maxNodes", chosen.max_nodes, allowed, problems.set("aks.maxNodes", most))
    for role, size in sizes.items():
        problems.built(
            role.value,
            f"{size.cpu:g} cores, {size.memory_mib} MiB",
            problems.reset(*(f"{role}.{key}" for key in ("cpu", "memoryMib"))),
            partial(NodePool(name="any", vm_size=chosen.node_size).check_pod, cpu=size.cpu, memory_mib=size.memory_mib),
        )


def _most_nodes(system_nodes: int) -> int:
    """Return how many nodes for the services the subnet holds beside those of the system, which may be one more.

    Azure keeps five addresses of a subnet, and an upgrade adds a third of the nodes of each pool.
    """
    addresses = (1 << (32 - AKS_SUBNETS[SubnetRole.AKS_NODES])) - 5
    of_system = math.ceil((system_nodes + 1) * 4 / 3) if system_nodes else 0
    return (addresses - of_system) * 3 // 4


def _existing_cluster_is_its_owners(problems: Problems) -> None:
    """Record what a stack cannot choose of a cluster that it does not create."""
    for field in (f"aks.{key}" for key in _OF_OWN_CLUSTER):
        if problems.given(field):
            allowed = "no such setting beside aks.existingCluster, whose owner decides on it"
            problems.note(field, "given", allowed, problems.remove(field))


def _existing_cluster_reaches_the_data(
    problems: Problems, azure: AzureSettings, existing: ExistingClusterSettings
) -> None:
    """Record what keeps the nodes of another owner's cluster from the data: no peer, or addresses of the stack."""
    field, network = "aks.existingCluster", ipaddress.IPv4Network(azure.network.cidr)
    if not azure.network.client_networks:
        allowed = "the network of aks.existingCluster, which is peered and resolves the private names"
        example = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Network/virtualNetworks/NAME"
        remedy = problems.set("network.clientNetworks[0]", example)
        problems.note("network.clientNetworks", [], allowed, remedy)
    theirs = {"nodeRange": existing.node_range, "gatewayAddress": existing.gateway_address}
    ranges = {key: ipaddress.IPv4Network(given) for key, given in theirs.items()}
    for key in (key for key, taken in ranges.items() if taken.overlaps(network)):
        allowed = f"addresses outside of network.cidr, {network}, as peered networks share none"
        # To remove it would create a cluster.
        other = _apart(network, [*ranges.values()])
        command = f" by `{problems.set('network.cidr', other)}`" if other else ", network.cidr"
        problems.note(f"{field}.{key}", theirs[key], allowed, f"correct it, or give the stack another network{command}")


def _apart(network: ipaddress.IPv4Network, taken: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network | None:
    """Return a private range of a network's size that shares no address with it or with those taken, if one is left."""
    of_size = (ipaddress.IPv4Network((f"10.{second}.0.0", network.prefixlen), strict=False) for second in range(256))
    return next((each for each in of_size if not any(each.overlaps(other) for other in (network, *taken))), None)
