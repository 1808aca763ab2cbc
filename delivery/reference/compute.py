"""The table of costs in docs/choosing-compute.md: what each stack costs on either backend.

What a stack costs beside its compute is the same on both. Of a cluster the charges are worked out from the settings and
from the objects that `mlflow-platform manifests` writes, since a preview of them would need a Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from components.azure.aks_node_pool import NodePool
from components.azure.log_table import container_log_v2
from components.compute.aks.objects import token
from components.mlflow.observability import cluster as clusters
from delivery.cost.catalogue import Group
from delivery.cost.estimate import Estimate, estimate
from delivery.cost.load import IDLE, WORKING
from delivery.cost.resources import Resource, read
from delivery.doctor.facts import settings_of
from delivery.kubernetes.manifests import objects
from delivery.offline_azure.running import REPOSITORY
from delivery.pulumi.project import stack_document
from delivery.reference.stacks import preview
from infra.azure.cluster import Aks, pools
from infra.naming import SUFFIX_LENGTH, Names
from infra.settings.model import Settings

STACKS: Final = ("dev", "staging", "prod")
DOCUMENT: Final = REPOSITORY / "docs" / "choosing-compute.md"
_BEGIN, _END = "<!-- costs: written by `mlflow-platform reference` -->\n", "<!-- end of costs -->\n"
_CONTAINER_APPS = "azure-native:app:"


def render() -> str:
    """Return the document with its table as the stacks are. Raises RuntimeError if the engine fails."""
    return inserted(DOCUMENT.read_text(), {stack: costs(stack, read(preview(stack))) for stack in STACKS})


def costs(stack: str, resources: list[Resource]) -> tuple[Estimate, Estimate]:
    """Return what a stack costs on Container Apps, as its resources are, and in a cluster."""
    settings = settings_of(stack_document(REPOSITORY, stack), stack)
    kept = [resource for resource in resources if not resource.type.startswith(_CONTAINER_APPS)]
    in_cluster = [*kept, *cluster_resources(settings)]
    return estimate(resources, IDLE, WORKING), estimate(in_cluster, IDLE, WORKING)


def cluster_resources(settings: Settings) -> Iterator[Resource]:
    """What a stack has in a cluster in place of an environment and its apps, as far as any of it is billed.

    Raises ValueError for a stack on this machine.
    """
    azure = settings.azure
    if azure is None:
        raise ValueError(f"stack: got {settings.stack!r}, which runs on this machine; expected a stack on Azure.")
    system, *workloads = pools(azure)
    yield _resource(
        "azure-native:containerservice:ManagedCluster",
        "cluster",
        sku={"tier": "Standard" if azure.aks.uptime_sla else "Free"},
        agentPoolProfiles=[_pool(system)],
        networkProfile={
            "outboundType": "userAssignedNATGateway" if azure.network.fixed_outbound_address else "loadBalancer"
        },
    )
    for pool in workloads:
        yield Resource(type="azure-native:containerservice:AgentPool", name=pool.name, inputs=_pool(pool))
    yield _resource("azure-native:monitor:DataCollectionRule", "insights")
    names = Names(stack=settings.stack, suffix="a" * SUFFIX_LENGTH)
    watched = Aks().cluster(azure, names)
    for rule in clusters.alerts(watched, container_log_v2(names.namespace)):
        yield _resource("azure-native:monitor:ScheduledQueryRule", rule.name, evaluationFrequency="PT5M")
    for made in objects(settings, azure):
        yield Resource(type=token(made), name=made["metadata"]["name"], inputs=made)


def _pool(pool: NodePool) -> dict[str, Any]:
    return {
        "vmSize": pool.vm_size,
        "enableAutoScaling": True,
        "count": pool.minimum,
        "minCount": pool.minimum,
        "maxCount": pool.maximum,
    }


def _resource(kind: str, name: str, **inputs: Any) -> Resource:
    return Resource(type=kind, name=name, inputs=inputs)


def inserted(text: str, found: Mapping[str, tuple[Estimate, Estimate]]) -> str:
    """Return a document with this table between its two marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(
            f"{DOCUMENT.name}: got no marks; expected {_BEGIN.strip()} and {_END.strip()} around the table."
        )
    return "".join([before, begin, "\n", *(f"{line}\n" for line in _table(found)), "\n", end, after])


def _table(found: Mapping[str, tuple[Estimate, Estimate]]) -> Iterator[str]:
    yield "| USD a month, idle to at work | Container Apps | AKS |"
    yield "|---|---|---|"
    for stack, backends in found.items():
        compute, whole = (" | ".join(each(backend) for backend in backends) for each in (_compute, _whole))
        yield f"| {stack}, compute alone | {compute} |"
        yield f"| {stack}, the whole stack | {whole} |"


def _compute(found: Estimate) -> str:
    lines = found.groups().get(Group.COMPUTE, [])
    return _range(sum(line.idle_usd for line in lines), sum(line.load_usd for line in lines))


def _whole(found: Estimate) -> str:
    return _range(found.idle_usd, found.load_usd)


def _range(least: float, most: float) -> str:
    return f"{least:,.0f}" if round(least) == round(most) else f"{least:,.0f} to {most:,.0f}"
