"""An example of each component, by its name: as it comes, and with everything that it can have.

Whoever writes a component adds it here; tests/components/azure/test_contract.py fails until then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pulumi

from components.azure.aks_cluster import AksCluster, AksClusterArgs, ClusterIdentities, Maintenance
from components.azure.aks_node_pool import NodePool
from components.azure.artifact_store import ArtifactStore, ArtifactStoreArgs, Redundancy
from components.azure.container_apps_environment import ContainerAppsEnvironment, ContainerAppsEnvironmentArgs
from components.azure.container_insights import ContainerInsights, ContainerInsightsArgs
from components.azure.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from components.azure.key_vault import KeyVault, KeyVaultArgs
from components.azure.log_table import CONTAINER_APPS_CONSOLE
from components.azure.monitoring import BudgetArgs, Monitoring, MonitoringArgs
from components.azure.network import Network, NetworkArgs
from components.azure.network_plan import DEFAULT_PREFIXES
from components.azure.postgres import EntraAdministrator, HighAvailability, Postgres, PostgresArgs, ServerSize
from components.azure.private_endpoint import PrivateEndpoint, PrivateEndpointArgs, PrivateLinkGroup
from components.azure.private_name import PrivateName, PrivateNameArgs
from components.azure.state_store import StateStore, StateStoreArgs
from components.mlflow.observability import kql
from components.mlflow.observability.alerts import database_alerts, query_alerts
from components.mlflow.observability.workbook import content, workbook_name
from tests.support.recorder import SUBSCRIPTION_ID, TENANT_ID

TAGS = {"owner": "platform", "environment": "test"}

GROUP = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg"
PROVIDERS = f"{GROUP}/providers"
NETWORK = f"{PROVIDERS}/Microsoft.Network/virtualNetworks/net"
SUBNET = f"{NETWORK}/subnets/apps"
HUB = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"

Example = Callable[[str], pulumi.ComponentResource]
"""Makes an instance of a Pulumi name, with physical names that contain it."""


def _placed() -> dict[str, Any]:
    return {"location": "westeurope", "resource_group_name": "rg", "tags": TAGS}


def _watched() -> dict[str, Any]:
    return {**_placed(), "workspace_id": f"{PROVIDERS}/Microsoft.OperationalInsights/workspaces/w"}


def _store(name: str, **more: Any) -> ArtifactStore:
    return ArtifactStore(name, ArtifactStoreArgs(**_watched(), account_name=f"st{name}", **more))


def _state(name: str, **more: Any) -> StateStore:
    return StateStore(
        name, StateStoreArgs(**_watched(), account_name=f"st{name}", containers=["pulumi-dev", "pulumi-prod"], **more)
    )


def _registry(name: str, **more: Any) -> ContainerRegistry:
    return ContainerRegistry(name, ContainerRegistryArgs(**_watched(), registry_name=f"acr{name}", **more))


def _identity(name: str, **more: Any) -> Identity:
    return Identity(name, IdentityArgs(**_placed(), identity_name=f"id-{name}", **more))


def _vault(name: str, **more: Any) -> KeyVault:
    return KeyVault(name, KeyVaultArgs(**_watched(), vault_name=f"kv-{name}", tenant_id=TENANT_ID, **more))


def _monitoring(name: str, **more: Any) -> Monitoring:
    args = MonitoringArgs(
        **_placed(), workspace_name=f"log-{name}", action_group_name=f"ag-{name}", sender="team", **more
    )
    monitoring = Monitoring(name, args)
    server = f"{PROVIDERS}/Microsoft.DBforPostgreSQL/flexibleServers/psql"
    monitoring.watch(server, database_alerts(50))
    return monitoring


def _network(name: str, **more: Any) -> Network:
    # Each in a group of its own, as the names of private link zones are Azure's.
    args = {**_watched(), "resource_group_name": f"rg-{name}", "network_name": f"vnet-{name}", **more}
    return Network(name, NetworkArgs(**{"cidr": "10.20.0.0/22", **args}))


def _postgres(name: str, **more: Any) -> Postgres:
    args = PostgresArgs(
        **_watched(),
        server_name=f"psql-{name}",
        tenant_id=TENANT_ID,
        subnet_id=SUBNET,
        private_dns_zone_id=f"{PROVIDERS}/Microsoft.Network/privateDnsZones/mlflow.private.postgres.database.azure.com",
        administrator=EntraAdministrator(name="mlflow-prepare", object_id="11111111-2222-3333-4444-555555555555"),
        **more,
    )
    return Postgres(name, args)


def _endpoint(name: str, group: PrivateLinkGroup) -> PrivateEndpoint:
    args = PrivateEndpointArgs(
        **_placed(),
        endpoint_name=f"pe-{name}",
        subnet_id=SUBNET,
        target_id=f"{PROVIDERS}/Microsoft.Storage/storageAccounts/st",
        group=group,
        zone_id=f"{PROVIDERS}/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net",
    )
    return PrivateEndpoint(name, args)


def _environment(name: str, **more: Any) -> ContainerAppsEnvironment:
    args = {**_watched(), "environment_name": f"cae-{name}", "subnet_id": SUBNET, "network_id": NETWORK, **more}
    return ContainerAppsEnvironment(name, ContainerAppsEnvironmentArgs(**args))


def _private_name(name: str, **more: Any) -> PrivateName:
    args = {"host": f"{name}.example.com", "address": "10.20.0.212", "network_id": NETWORK, "tags": TAGS, **more}
    return PrivateName(name, PrivateNameArgs(resource_group_name="rg", **args))


def _cluster(name: str, **more: Any) -> AksCluster:
    identity = f"{PROVIDERS}/Microsoft.ManagedIdentity/userAssignedIdentities"
    args: dict[str, Any] = {
        **_watched(),
        "cluster_name": f"aks-{name}",
        "kubernetes_version": "1.36",
        "subscription_id": SUBSCRIPTION_ID,
        "tenant_id": TENANT_ID,
        **{f"{role}_subnet_id": f"{NETWORK}/subnets/aks-{role}s-{name}" for role in ("node", "api", "ingress")},
        "identities": ClusterIdentities(
            control_plane_id=f"{identity}/id-{name}-cluster",
            control_plane_principal_id="11111111-2222-3333-4444-555555555555",
            kubelet_id=f"{identity}/id-{name}-nodes",
            kubelet_client_id="21111111-2222-3333-4444-555555555555",
            kubelet_principal_id="31111111-2222-3333-4444-555555555555",
        ),
        "system": NodePool(name="system"),
        **more,
    }
    return AksCluster(name, AksClusterArgs(**args))


def _insights(name: str, *namespaces: str) -> ContainerInsights:
    cluster = f"{PROVIDERS}/Microsoft.ContainerService/managedClusters/aks-{name}"
    args = {**_watched(), "rule_name": f"dcr-{name}", "cluster_id": cluster, "namespaces": namespaces}
    return ContainerInsights(name, ContainerInsightsArgs(**args))


def _budget(name: str) -> BudgetArgs:
    return BudgetArgs(name=f"budget-{name}", scope=GROUP, amount=200)


_EVERYTHING_OF_A_STORE = {
    "protect": True,
    "redundancy": Redundancy.GEO_ZONE,
    "public_origin": "https://mlflow.example.com",
    "subnet_ids": [SUBNET],
}
_EVERYTHING_OF_A_NETWORK = {
    "subnets": dict(DEFAULT_PREFIXES),
    "fixed_outbound_address": True,
    "address_zones": ("1", "2", "3"),
    "internet_outbound": True,
    "client_ranges": ("10.0.0.0/8", "192.168.0.0/16"),
    "clients_reach": (PrivateLinkGroup.BLOB,),
    "client_networks": {"vnet-hub": HUB},
    "protect": True,
}
_EVERYTHING_OF_A_SERVER = {
    "protect": True,
    "size": ServerSize(
        sku="Standard_E4ds_v5", high_availability=HighAvailability.ZONE_REDUNDANT, backup_days=35, geo_backup=True
    ),
    "zone": "1",
    "standby_zone": "2",
    "parameters": {"work_mem": "16384"},
}
_SUBJECTS = [FederatedSubject.github_environment("acme/mlflow", stack) for stack in ("prod", "prod-preview")]

_EVERYTHING_OF_A_CLUSTER = {
    "system": NodePool(name="system", minimum=3, maximum=3, zones=("1", "2", "3")),
    "workloads": [NodePool(name="work", vm_size="Standard_D4ads_v5", minimum=3, maximum=12, zones=("1", "2", "3"))],
    "maintenance": Maintenance(hour=20),
    "nat_gateway": True,
    "protect": True,
}

EXAMPLES: Mapping[type[pulumi.ComponentResource], Mapping[str, Example]] = {
    AksCluster: {
        "defaults": _cluster,
        "max": lambda name: _cluster(name, **_EVERYTHING_OF_A_CLUSTER),
        "public": lambda name: _cluster(name, private=False, authorized_ranges=("20.1.2.3/32",), uptime_sla=False),
    },
    ArtifactStore: {
        "defaults": lambda name: _store(name, protect=False),
        "max": lambda name: _store(name, **_EVERYTHING_OF_A_STORE),
    },
    ContainerRegistry: {
        "defaults": _registry,
        "max": lambda name: _registry(name, private=True, zone_redundant=True, retention_days=365, protect=True),
    },
    ContainerAppsEnvironment: {
        "defaults": _environment,
        "max": lambda name: _environment(name, zone_redundant=True, client_networks={"vnet-hub": HUB}),
        "public": lambda name: _environment(name, internal=False),
    },
    ContainerInsights: {
        "defaults": lambda name: _insights(name, "shop"),
        "max": lambda name: _insights(name, "shop", "till"),
    },
    PrivateName: {
        "defaults": _private_name,
        "max": lambda name: _private_name(name, client_networks={"vnet-hub": HUB}),
    },
    Identity: {
        "defaults": _identity,
        "max": lambda name: _identity(name, federated=_SUBJECTS),
    },
    KeyVault: {
        "defaults": lambda name: _vault(name, protect=False),
        "max": lambda name: _vault(name, protect=True, subnet_ids=[SUBNET]),
        "public": lambda name: _vault(name, protect=True, public=True),
    },
    StateStore: {
        "defaults": _state,
        "max": lambda name: _state(name, zone_redundant=False, protect=False, soft_delete_days=365),
    },
    Monitoring: {
        "defaults": _monitoring,
        "max": lambda name: _monitoring(
            name,
            emails=["a@example.com", "b@example.com"],
            retention_days=730,
            budget=_budget(name),
            query_rules=[*query_alerts(CONTAINER_APPS_CONSOLE), *kql.alerts(CONTAINER_APPS_CONSOLE)],
            # Each in a workspace of its own, as its name is computed from the workspace's id.
            workbook=replace(content(CONTAINER_APPS_CONSOLE), name_of=lambda of: workbook_name(f"{of}/{name}")),
        ),
    },
    Network: {
        "defaults": _network,
        "max": lambda name: _network(name, **_EVERYTHING_OF_A_NETWORK),
        "public": lambda name: _network(name, private_endpoints=()),
    },
    Postgres: {
        "defaults": lambda name: _postgres(name, protect=False),
        "max": lambda name: _postgres(name, **_EVERYTHING_OF_A_SERVER),
    },
    PrivateEndpoint: {group.value: partial(_endpoint, group=group) for group in PrivateLinkGroup},
}
