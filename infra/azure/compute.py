"""Where a stack's services run on Azure: the only module that knows which backends there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi

from components.azure.container_apps_environment import ContainerAppsEnvironment, ContainerAppsEnvironmentArgs
from components.azure.existing_cluster import ExistingCluster
from components.azure.identity import Identity
from components.azure.log_table import CONTAINER_APPS_CONSOLE, LogTable
from components.azure.network_plan import CONTAINER_APPS_SUBNETS, SubnetRole
from components.azure.roles import AzureRole
from components.compute.container_apps import rendering
from components.compute.container_apps.backend import ContainerAppsArgs, ContainerAppsCompute
from components.compute.contract import Compute, Ingress
from components.compute.image import Image
from components.mlflow.observability.cluster import Cluster
from components.mlflow.roles import Role
from components.mlflow.topology import GatewayTls, Topology
from infra.azure.cluster import Aks
from infra.azure.data import Data
from infra.azure.foundation import Foundation
from infra.naming import Names
from infra.settings.azure import AzureSettings, Exposure
from infra.settings.profiles import ComputeKind


class Place(Protocol):
    """What exists before any service does: an environment or a cluster, and the host name of the gateway in it."""

    @property
    def gateway_host(self) -> pulumi.Input[str]:
        """The gateway's host name, known before the gateway is created."""
        ...

    @property
    def gateway_tls(self) -> GatewayTls | None:
        """The certificate of a gateway that takes TLS itself; None where the platform does."""
        ...

    @property
    def pulls(self) -> Identity | ExistingCluster | None:
        """The one identity that pulls images here; None where each service does so as itself."""
        ...

    @property
    def grants(self) -> Sequence[tuple[Identity | ExistingCluster, AzureRole]]:
        """The roles that an `up` grants identities of the place, beside those of the services."""
        ...

    @property
    def deploy_roles(self) -> Sequence[AzureRole]:
        """What a workflow that deploys needs on the group, beside what it needs everywhere."""
        ...

    @property
    def preview_roles(self) -> Sequence[AzureRole]:
        """What a workflow that previews needs on the group, beside what it needs everywhere."""
        ...

    def outputs(self) -> Mapping[str, pulumi.Input[str]]:
        """What the stack says of the place."""
        ...

    def publish(self, url: pulumi.Output[str]) -> None:
        """Make the gateway's name known, once it answers at `url`."""
        ...

    def backend(self, data: Data, image: Image, services: Topology, requires: Sequence[pulumi.Resource]) -> Compute:
        """Return the backend that runs an image here. No service starts before what it `requires` exists."""
        ...


class Kind(Protocol):
    """One backend, as the rest of the program sees it."""

    def subnets(self, azure: AzureSettings) -> Mapping[SubnetRole, int]:
        """Return the subnets of a stack's network."""
        ...

    def logs(self, azure: AzureSettings, names: Names) -> LogTable:
        """Return where the lines of a stack's containers arrive."""
        ...

    def cluster(self, azure: AzureSettings, names: Names) -> Cluster | None:
        """Return what is watched of the stack's cluster; None without one."""
        ...

    def create_place(self, base: Foundation, azure: AzureSettings) -> Place:
        """Create what exists before any service does."""
        ...


@dataclass(frozen=True, kw_only=True)
class _ContainerAppsPlace:
    base: Foundation
    azure: AzureSettings
    environment: ContainerAppsEnvironment

    # The environment's ingress takes TLS.
    gateway_tls: GatewayTls | None = None
    pulls: Identity | None = None
    grants: Sequence[tuple[Identity, AzureRole]] = ()
    deploy_roles: Sequence[AzureRole] = ()
    preview_roles: Sequence[AzureRole] = ()

    @property
    def gateway_host(self) -> pulumi.Input[str]:
        # Public to whatever the environment is open to: the virtual network alone, unless ingress is public.
        name = self.base.names.workload(Role.GATEWAY)
        return rendering.public_name(name, Ingress.PUBLIC, self.environment.default_domain, self._domain)

    @property
    def _domain(self) -> rendering.CustomDomain | None:
        chosen = self.azure.domain
        if chosen.host is None:
            return None
        return rendering.CustomDomain(host=chosen.host, certificate_id=chosen.certificate)

    def outputs(self) -> Mapping[str, pulumi.Input[str]]:
        return {}

    def publish(self, url: pulumi.Output[str]) -> None:
        """The environment has a name of its own from the start."""

    def backend(self, data: Data, image: Image, services: Topology, requires: Sequence[pulumi.Resource]) -> Compute:
        del services
        base = self.base
        return ContainerAppsCompute(
            ContainerAppsArgs(
                environment_id=self.environment.id,
                default_domain=self.environment.default_domain,
                location=base.location,
                resource_group_name=base.group,
                tags=base.tags,
                image=image,
                names={role.value: base.names.workload(role) for role in Role},
                identity_ids={base.names.identity(role): identity.id for role, identity in base.identities.items()},
                # Hidden edges: an image is pulled with a right and over an endpoint that no value of an app comes from.
                requires=[*requires, *data.endpoints],
                domains={} if self._domain is None else {Role.GATEWAY.value: self._domain},
            )
        )


class _ContainerApps:
    def subnets(self, azure: AzureSettings) -> Mapping[SubnetRole, int]:
        del azure
        return CONTAINER_APPS_SUBNETS

    def logs(self, azure: AzureSettings, names: Names) -> LogTable:
        del azure, names
        return CONTAINER_APPS_CONSOLE

    def cluster(self, azure: AzureSettings, names: Names) -> Cluster | None:
        del azure, names
        return None

    def create_place(self, base: Foundation, azure: AzureSettings) -> Place:
        environment = ContainerAppsEnvironment(
            "apps",
            ContainerAppsEnvironmentArgs(
                environment_name=base.names.environment,
                location=base.location,
                resource_group_name=base.group,
                tags=base.tags,
                subnet_id=base.network.subnet_ids[SubnetRole.CONTAINER_APPS],
                network_id=base.network.network_id,
                workspace_id=base.monitoring.workspace_id,
                internal=azure.exposure is Exposure.INTERNAL,
                client_networks=azure.network.clients_by_name,
                zone_redundant=azure.zone_redundant,
            ),
        )
        return _ContainerAppsPlace(base=base, azure=azure, environment=environment)


KINDS: Mapping[ComputeKind, Kind] = {ComputeKind.CONTAINER_APPS: _ContainerApps(), ComputeKind.AKS: Aks()}
"""The backends of Azure stacks; settings refuse any other value of `compute`."""
