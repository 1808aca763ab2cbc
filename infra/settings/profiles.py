"""One table of defaults for each kind of environment. Stack files hold only what differs from it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.azure.artifact_store_args import Redundancy
from components.azure.postgres_size import HighAvailability
from components.compute.contract import Scale
from components.mlflow.roles import Role
from components.mlflow.topology import Size
from infra.settings.aks import AksSettings
from infra.settings.azure import (
    AzureDefaults,
    DatabaseSettings,
    MonitoringSettings,
    NetworkSettings,
    StorageSettings,
)
from infra.settings.services import ServiceSize


class ComputeKind(enum.StrEnum):
    """The backends of components/compute/."""

    LOCAL = "local"
    CONTAINER_APPS = "container_apps"
    AKS = "aks"


class ProfileName(enum.StrEnum):
    """The rows of the table."""

    LOCAL = "local"
    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where services run, how big each is, and their Azure settings, unless the stack's file says otherwise.

    `database_pool` is the number of connections that a replica keeps open to each database. `azure` is None for a
    stack on one machine.
    """

    compute: ComputeKind
    services: Mapping[Role, ServiceSize]
    database_pool: int
    azure: AzureDefaults | None = None

    @property
    def sizes(self) -> Mapping[Role, Size]:
        """Return the services' sizes as the topology takes them."""
        return {role: service.size for role, service in self.services.items()}

    def values(self) -> dict[str, Any]:
        """Return the defaults in the form of a stack's file."""
        return {
            "compute": self.compute,
            **{role.value: service.model_dump(by_alias=True) for role, service in self.services.items()},
            "limits": {"databasePool": self.database_pool},
            **(self.azure.model_dump(by_alias=True) if self.azure else {}),
        }


def _size(
    cpu: float, memory_mib: int, spool_mib: int, minimum: int, maximum: int, concurrency: int = Scale.concurrency
) -> ServiceSize:
    return ServiceSize(
        cpu=cpu,
        memory_mib=memory_mib,
        spool_mib=spool_mib,
        min_replicas=minimum,
        max_replicas=maximum,
        concurrency=concurrency,
    )


# cpu and memory come in the steps of Container Apps' consumption plan, 1 core to 2 GiB, spool disks in its sizes
# (https://learn.microsoft.com/azure/container-apps/containers#allocations and /storage-mounts#ephemeral-storage).
# A service needs about 250 MiB idle. Another replica starts when each has as many requests a second as keep 60 % of its
# cores busy with the dearest that people usually send, by what the bench measured: traces, for the gateway artifacts
# (docs/capacity.md). More than a busy replica answers of those would never start one. The fewest replicas of staging
# and prod outlive the loss of one, those of prod of a zone. The most are twice what the database carries with the hot
# path off, as searches need more of a replica.
PROFILES: Mapping[ProfileName, Profile] = {
    ProfileName.LOCAL: Profile(
        compute=ComputeKind.LOCAL,
        services={
            Role.GATEWAY: _size(0.25, 512, 0, 1, 1),
            Role.TRACKING: _size(0.5, 1024, 1024, 2, 2),
            Role.REGISTRY: _size(0.5, 1024, 1024, 1, 1),
            Role.ARTIFACTS: _size(0.5, 1024, 1024, 1, 1),
        },
        database_pool=20,
    ),
    # Cheap: nothing runs while nobody works, one zone, and all of it may be thrown away.
    ProfileName.DEV: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        services={
            Role.GATEWAY: _size(0.25, 512, 0, 0, 1, 80),
            Role.TRACKING: _size(0.5, 1024, 1024, 0, 2, 6),
            Role.REGISTRY: _size(0.5, 1024, 1024, 0, 1, 24),
            Role.ARTIFACTS: _size(0.5, 1024, 1024, 0, 2, 15),
        },
        # As in prod, so that a request waits here for a connection where it would wait there.
        database_pool=4,
        azure=AzureDefaults(
            network=NetworkSettings(cidr="10.40.0.0/24"),
            # The smallest size with room for a rolling update: Standard_B1ms takes 35 connections, and even with the
            # smallest pool previous and new replicas open 52 side by side.
            database=DatabaseSettings(sku="Standard_B2s", backup_days=7),
            storage=StorageSettings(redundancy=Redundancy.LOCAL),
            monitoring=MonitoringSettings(retention_days=30),
            protect=False,
            purge_protection=False,
            zone_redundant=False,
            private_registry=False,
            soak_hours=1,
        ),
    ),
    # The shape of prod, without its standby and with fewer replicas.
    ProfileName.STAGING: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        services={
            Role.GATEWAY: _size(0.5, 1024, 0, 2, 4, 150),
            Role.TRACKING: _size(1, 2048, 2048, 2, 6, 12),
            Role.REGISTRY: _size(0.5, 1024, 1024, 2, 3, 24),
            Role.ARTIFACTS: _size(1, 2048, 1024, 2, 4, 30),
        },
        database_pool=10,
        azure=AzureDefaults(
            network=NetworkSettings(cidr="10.40.1.0/24", fixed_outbound_address=True),
            database=DatabaseSettings(sku="Standard_D2ds_v5", storage_gib=64, backup_days=14),
            storage=StorageSettings(redundancy=Redundancy.ZONE),
            monitoring=MonitoringSettings(retention_days=30),
            # A node in each zone, as the services have two replicas at least.
            aks=AksSettings(min_nodes=3, max_nodes=9, system_nodes=2, uptime_sla=True),
            protect=True,
            purge_protection=True,
            zone_redundant=True,
            private_registry=True,
        ),
    ),
    ProfileName.PROD: Profile(
        compute=ComputeKind.CONTAINER_APPS,
        services={
            Role.GATEWAY: _size(0.5, 1024, 0, 3, 10, 150),
            Role.TRACKING: _size(1, 2048, 2048, 3, 20, 12),
            Role.REGISTRY: _size(0.5, 1024, 1024, 2, 6, 24),
            Role.ARTIFACTS: _size(1, 2048, 1024, 3, 10, 30),
        },
        database_pool=4,
        azure=AzureDefaults(
            network=NetworkSettings(cidr="10.40.2.0/24", fixed_outbound_address=True),
            database=DatabaseSettings(
                sku="Standard_D2ds_v5",
                storage_gib=128,
                backup_days=35,
                high_availability=HighAvailability.ZONE_REDUNDANT,
                geo_backup=True,
            ),
            storage=StorageSettings(redundancy=Redundancy.GEO_ZONE, soft_delete_days=30),
            monitoring=MonitoringSettings(retention_days=90),
            aks=AksSettings(node_size="Standard_D4ads_v5", min_nodes=3, max_nodes=12, system_nodes=3, uptime_sla=True),
            protect=True,
            purge_protection=True,
            zone_redundant=True,
            private_registry=True,
        ),
    ),
}
