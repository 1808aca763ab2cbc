"""Where everything is kept: database, artifacts, secrets, images, each reached over the virtual network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.azure.artifact_store import ArtifactStore, ArtifactStoreArgs
from components.azure.container_registry import ContainerRegistry, ContainerRegistryArgs
from components.azure.key_vault import KeyVault, KeyVaultArgs
from components.azure.network import ZoneRole
from components.azure.network_plan import SubnetRole
from components.azure.postgres import EntraAdministrator, Postgres, PostgresArgs
from components.azure.postgres_size import max_connections
from components.azure.private_endpoint import PrivateEndpoint, PrivateEndpointArgs, PrivateLinkGroup
from components.mlflow.observability.alerts import database_alerts
from infra import rights
from infra.azure.foundation import Foundation, private_endpoints
from infra.naming import ARTIFACT_CONTAINER
from infra.settings.azure import AzureSettings


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data plane. `endpoints` are what its names resolve to: nothing is reached before they are there."""

    postgres: Postgres
    store: ArtifactStore
    vault: KeyVault
    images: ContainerRegistry
    endpoints: Sequence[PrivateEndpoint]


def create_data_plane(base: Foundation, azure: AzureSettings, *, public_origin: pulumi.Input[str]) -> Data:
    """Create the data plane. Pages of `public_origin` alone may read blobs straight from the store."""
    images = ContainerRegistry(
        "images",
        ContainerRegistryArgs(
            registry_name=base.names.container_registry,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            workspace_id=base.monitoring.workspace_id,
            private=azure.private_registry,
            zone_redundant=azure.private_registry and azure.zone_redundant,
            protect=azure.protect,
        ),
    )
    store = ArtifactStore(
        "store",
        ArtifactStoreArgs(
            account_name=base.names.storage_account,
            container_name=ARTIFACT_CONTAINER,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            workspace_id=base.monitoring.workspace_id,
            protect=azure.protect,
            redundancy=azure.storage.redundancy,
            lifecycle=azure.storage.lifecycle,
            blob_soft_delete_days=azure.storage.soft_delete_days,
            container_soft_delete_days=azure.storage.soft_delete_days,
            public_origin=public_origin,
        ),
    )
    vault = KeyVault(
        "vault",
        KeyVaultArgs(
            vault_name=base.names.key_vault,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            workspace_id=base.monitoring.workspace_id,
            tenant_id=base.tenant_id,
            protect=azure.protect,
            purge_protection=azure.purge_protection,
        ),
    )
    postgres = _database(base, azure)
    targets = {
        PrivateLinkGroup.BLOB: store.id,
        PrivateLinkGroup.VAULT: vault.id,
        PrivateLinkGroup.REGISTRY: images.id,
    }
    # Azure works on one request for an account at a time: its endpoint waits for all that the store makes in it.
    after = {PrivateLinkGroup.BLOB: [store]}
    endpoints = [_endpoint(base, group, targets[group], after.get(group, ())) for group in private_endpoints(azure)]
    return Data(postgres=postgres, store=store, vault=vault, images=images, endpoints=endpoints)


def _database(base: Foundation, azure: AzureSettings) -> Postgres:
    administrator = base.identities[rights.DATABASE_ADMINISTRATOR]
    wanted = azure.database
    postgres = Postgres(
        "postgres",
        PostgresArgs(
            server_name=base.names.database_server,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            workspace_id=base.monitoring.workspace_id,
            tenant_id=base.tenant_id,
            subnet_id=base.network.subnet_ids[SubnetRole.POSTGRES],
            private_dns_zone_id=base.network.zone_ids[ZoneRole.POSTGRES],
            administrator=EntraAdministrator(name=administrator.name, object_id=administrator.principal_id),
            protect=azure.protect,
            size=wanted.size,
        ),
    )
    base.monitoring.watch(postgres.id, database_alerts(max_connections(wanted.sku)))
    return postgres


def _endpoint(
    base: Foundation,
    group: PrivateLinkGroup,
    target_id: pulumi.Output[str],
    after: Sequence[pulumi.Resource],
) -> PrivateEndpoint:
    return PrivateEndpoint(
        f"endpoint-{group}",
        PrivateEndpointArgs(
            endpoint_name=base.names.private_endpoint(group),
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            subnet_id=base.network.subnet_ids[SubnetRole.PRIVATE_ENDPOINTS],
            target_id=target_id,
            group=group,
            zone_id=base.network.zone_ids[ZoneRole(group.value)],
            after=after,
        ),
    )
