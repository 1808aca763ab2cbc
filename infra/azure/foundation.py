"""What everything else needs: resource group, logs, network, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization, resources

from components.azure.identity import Identity, IdentityArgs
from components.azure.log_table import LogTable
from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs
from components.azure.network import Network, NetworkArgs
from components.azure.network_plan import SubnetRole
from components.azure.private_endpoint import PrivateLinkGroup
from components.mlflow.observability import cluster as clusters
from components.mlflow.observability import kql, workbook
from components.mlflow.observability.alerts import query_alerts
from components.mlflow.observability.cluster import Cluster
from components.mlflow.roles import Role
from infra.naming import Names, unique_suffix
from infra.settings.access import AccessMode
from infra.settings.azure import AzureSettings
from infra.settings.model import Settings
from infra.settings.profiles import ComputeKind
from infra.tags import tags

ZONES = ("1", "2", "3")


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """What later parts take from here. `group` is the resource group's name, `group_id` its ARM id."""

    names: Names
    tags: Mapping[str, str]
    location: str
    group: pulumi.Output[str]
    group_id: pulumi.Output[str]
    subscription_id: str
    tenant_id: str
    monitoring: Monitoring
    network: Network
    identities: Mapping[Role, Identity]


def create_foundation(
    settings: Settings,
    azure: AzureSettings,
    *,
    subnets: Mapping[SubnetRole, int],
    logs: Callable[[AzureSettings, Names], LogTable],
    cluster: Callable[[AzureSettings, Names], Cluster | None],
) -> Foundation:
    """Create the resource group and what belongs to no single service.

    The rest is the compute backend's, of a stack with these names: `subnets` of the network, `logs`, where the lines of
    containers arrive, and `cluster`, what is watched of one.
    """
    client = authorization.get_client_config()
    suffix = unique_suffix(client.subscription_id, settings.stack, azure.name_generation)
    names, tagged = Names(stack=settings.stack, suffix=suffix), tags(settings)
    table, watched = logs(azure, names), cluster(azure, names)
    access = settings.access.mode is AccessMode.ENTRA
    in_cluster = clusters.alerts(watched, table) if watched is not None else ()
    bootstrapped = azure.bootstrapped_by is not None
    # Its nodes reach the data from a peered network, and its lines arrive in its owner's workspace.
    elsewhere = azure.aks.existing_cluster if settings.compute is ComputeKind.AKS else None
    group = _group(azure, names, tagged, client.subscription_id)
    monitoring = Monitoring(
        "monitoring",
        MonitoringArgs(
            workspace_name=names.workspace,
            action_group_name=names.action_group,
            location=azure.location,
            resource_group_name=group.name,
            tags=tagged,
            sender="mlflow",
            query_rules=(*query_alerts(table, access=access), *kql.alerts(table), *in_cluster),
            workbook=workbook.content(table, watched, access=access),
            query_workspace_id=elsewhere.workspace if elsewhere else None,
            protect=azure.protect,
            emails=azure.monitoring.emails,
            retention_days=azure.monitoring.retention_days,
            budget=_budget(azure, names, group),
        ),
    )
    network = Network(
        "network",
        NetworkArgs(
            network_name=names.network,
            location=azure.location,
            resource_group_name=group.name,
            tags=tagged,
            workspace_id=monitoring.workspace_id,
            cidr=azure.network.cidr,
            subnets=subnets,
            fixed_outbound_address=azure.network.fixed_outbound_address,
            address_zones=ZONES if azure.zone_redundant and azure.network.fixed_outbound_address else (),
            private_endpoints=private_endpoints(azure),
            internet_outbound=azure.network.internet_outbound,
            client_ranges=azure.network.client_ranges,
            clients_reach=[PrivateLinkGroup.BLOB] if azure.storage.clients_reach_blob else [],
            client_networks=azure.network.clients_by_name,
            callers=sorted([*azure.network.caller_ranges, *([elsewhere.node_range] if elsewhere else [])]),
            # Of previous nodes too: pods that look a name up again would find the public address, which is closed.
            caller_networks=azure.network.clients_by_name if elsewhere or azure.network.caller_ranges else {},
            postgres_zone=names.postgres_zone,
            protect=azure.protect,
        ),
    )
    identities = {
        role: Identity(
            f"identity-{role}",
            IdentityArgs(
                identity_name=names.identity(role),
                location=azure.location,
                resource_group_name=names.identity_group if bootstrapped else group.name,
                tags=tagged,
                exists=bootstrapped,
                subscription_id=client.subscription_id,
            ),
        )
        for role in Role
    }
    return Foundation(
        names=names,
        tags=tagged,
        location=azure.location,
        group=group.name,
        group_id=group.id,
        subscription_id=client.subscription_id,
        tenant_id=client.tenant_id,
        monitoring=monitoring,
        network=network,
        identities=identities,
    )


def private_endpoints(azure: AzureSettings) -> Sequence[PrivateLinkGroup]:
    """Return what the network reaches by a private endpoint. The rules for the rest name its public addresses."""
    always = (PrivateLinkGroup.BLOB, PrivateLinkGroup.VAULT)
    return (*always, PrivateLinkGroup.REGISTRY) if azure.private_registry else always


def _group(
    azure: AzureSettings, names: Names, tagged: Mapping[str, str], subscription_id: str
) -> resources.ResourceGroup:
    """Make the resource group, or look up the one that the bootstrap stack has made and given rights on."""
    if azure.bootstrapped_by is not None:
        identifier = f"/subscriptions/{subscription_id}/resourceGroups/{names.resource_group}"
        return resources.ResourceGroup.get("group", identifier)
    return resources.ResourceGroup(
        "group",
        resource_group_name=names.resource_group,
        location=azure.location,
        tags=tagged,
        opts=pulumi.ResourceOptions(protect=azure.protect),
    )


def _budget(azure: AzureSettings, names: Names, group: resources.ResourceGroup) -> BudgetArgs | None:
    amount = azure.monitoring.monthly_budget
    if amount is None:
        return None
    return BudgetArgs(name=names.budget, scope=group.id, amount=amount)
