"""Where a stack's services run on Azure: the only module that knows which backends there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi

from components.azure import arm
from components.azure.container_apps_environment import ContainerAppsEnvironment, ContainerAppsEnvironmentArgs
from components.azure.log_table import CONTAINER_APPS_CONSOLE, LogTable
from components.azure.network_plan import CONTAINER_APPS_SUBNETS, SubnetRole
from components.compute.container_apps import rendering
from components.compute.container_apps.backend import ContainerAppsArgs, ContainerAppsCompute
from components.compute.contract import Compute, Ingress
from components.compute.image import Image
from components.mlflow.roles import Role
from infra.azure.data import Data
from infra.azure.foundation import Foundation
from infra.settings.azure import AzureSettings, Exposure
from infra.settings.profiles import ComputeKind


class Place(Protocol):
    """What exists before any service does: an environment or a cluster, and the host name of the gateway in it."""

    @property
    def gateway_host(self) -> pulumi.Output[str]:
        """The gateway's host name, known before the gateway is created."""
        ...

    def backend(self, data: Data, image: Image, requires: Sequence[pulumi.Resource]) -> Compute:
        """Return the backend that runs an image here. No service starts before what it `requires` exists."""
        ...


class Kind(Protocol):
    """One backend, as the rest of the program sees it."""

    subnets: Mapping[SubnetRole, int]
    log_table: LogTable

    def check(self) -> None:
        """Raise RunError if the backend cannot work in this process, before anything is created."""
        ...

    def create_place(self, base: Foundation, azure: AzureSettings) -> Place:
        """Create what exists before any service does."""
        ...


@dataclass(frozen=True, kw_only=True)
class _ContainerAppsPlace:
    base: Foundation
    azure: AzureSettings
    environment: ContainerAppsEnvironment

    @property
    def gateway_host(self) -> pulumi.Output[str]:
        # Public to whatever the environment is open to: the virtual network alone, unless ingress is public.
        name = self.base.names.workload(Role.GATEWAY)
        return rendering.host_name(name, Ingress.PUBLIC, self.environment.default_domain)

    def backend(self, data: Data, image: Image, requires: Sequence[pulumi.Resource]) -> Compute:
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
            )
        )


class _ContainerApps:
    subnets = CONTAINER_APPS_SUBNETS
    log_table = CONTAINER_APPS_CONSOLE

    def check(self) -> None:
        try:
            arm.endpoint()
        except arm.ArmError as error:
            raise pulumi.RunError(str(error)) from None

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


KINDS: Mapping[ComputeKind, Kind] = {ComputeKind.CONTAINER_APPS: _ContainerApps()}
"""The backends of Azure stacks; settings refuse any other value of `compute`."""
