"""What a cluster tells a Log Analytics workspace: lines of containers, warnings, and an inventory every minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import monitor

# Each stream is a table. Left out is what nobody asks here, and what would be most of the bill: Perf and
# ContainerInventory.
STREAMS = (
    "Microsoft-ContainerLogV2",
    "Microsoft-KubeEvents",
    "Microsoft-KubeNodeInventory",
    "Microsoft-KubePodInventory",
    "Microsoft-InsightsMetrics",
)
_EXTENSION = "ContainerInsights"
# Azure finds the association of a cluster by this name alone.
_NAME = "ContainerInsightsExtension"
_WORKSPACE = "workspace"


@dataclass(frozen=True, kw_only=True)
class ContainerInsightsArgs:
    """`namespaces` are those whose pods are counted, and are plain; nodes are counted always, and the lines of every
    namespace but kube-system's arrive. The rule has to be in the region of its workspace, `location`."""

    rule_name: str
    location: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    cluster_id: pulumi.Input[str]
    namespaces: Sequence[str]

    def __post_init__(self) -> None:
        if not self.namespaces:
            raise ValueError("namespaces: got none; expected one or more. Name those of the workloads.")


class ContainerInsights(pulumi.ComponentResource):
    """A data collection rule for one cluster, whose `omsagent` add-on signs in with Entra (`AksCluster` has it on).

        ContainerInsights("insights", ContainerInsightsArgs(
            rule_name="dcr-shop-dev", location="westeurope", resource_group_name=group.name, tags={},
            workspace_id=monitoring.workspace_id, cluster_id=cluster.id, namespaces=["shop"],
        ))

    Sources, Microsoft Learn: "Enable monitoring for AKS clusters" (rule, association and their names), "Configure log
    collection in Container Insights" (streams, namespaces; those of lines are a ConfigMap of the cluster instead).
    """

    rule_id: pulumi.Output[str]

    def __init__(self, name: str, args: ContainerInsightsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:azure:ContainerInsights", name, {}, opts)
        settings = {
            "interval": "1m",
            "namespaceFilteringMode": "Include",
            "namespaces": list(args.namespaces),
            "enableContainerLogV2": True,
        }
        rule = monitor.DataCollectionRule(
            f"{name}-rule",
            data_collection_rule_name=args.rule_name,
            location=args.location,
            resource_group_name=args.resource_group_name,
            tags=args.tags,
            kind=monitor.KnownDataCollectionRuleResourceKind.LINUX,
            data_sources=monitor.DataCollectionRuleDataSourcesArgs(
                extensions=[
                    monitor.ExtensionDataSourceArgs(
                        name=_NAME,
                        extension_name=_EXTENSION,
                        extension_settings={"dataCollectionSettings": settings},
                        streams=list(STREAMS),
                    )
                ]
            ),
            destinations=monitor.DataCollectionRuleDestinationsArgs(
                log_analytics=[
                    monitor.LogAnalyticsDestinationArgs(name=_WORKSPACE, workspace_resource_id=args.workspace_id)
                ]
            ),
            data_flows=[monitor.DataFlowArgs(streams=list(STREAMS), destinations=[_WORKSPACE])],
            opts=pulumi.ResourceOptions(parent=self),
        )
        monitor.DataCollectionRuleAssociation(
            f"{name}-association",
            association_name=_NAME,
            resource_uri=args.cluster_id,
            data_collection_rule_id=rule.id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.rule_id = rule.id
        self.register_outputs({"rule_id": self.rule_id})
