"""A stack on Azure: foundation -> where it runs -> data -> access -> what runs."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.azure.container_apps_environment import Environment, EnvironmentArgs
from components.azure.network_plan import SubnetRole
from components.compute.container_apps import arm, rendering
from components.compute.container_apps.backend import ContainerAppsArgs, ContainerAppsCompute
from components.compute.container_apps.image import Image
from components.compute.contract import Ingress, Role, WorkloadIdentity
from components.mlflow.platform import PlatformArgs
from components.mlflow.topology import DataPlane, Topology
from infra.azure import access, foundation
from infra.azure import data as data_plane
from infra.azure.data import Data
from infra.azure.foundation import Foundation
from infra.naming import ROLES_WITH_IDENTITY
from infra.settings import guardrails
from infra.settings.azure import AzureSettings, Exposure
from infra.settings.model import Settings
from infra.stack import Stack
from infra.tags import REQUIRED

# Each container has a network of its own.
_PORT = 8080
_METRICS_PORT = 8081
_POSTGRES_PORT = 5432


def describe(settings: Settings, azure: AzureSettings) -> Stack:
    """Make everything but the services, and say how those run. Without an image they are left out."""
    try:
        arm.endpoint()
    except arm.ArmError as error:
        raise pulumi.RunError(str(error)) from None
    guardrails.require_tags(REQUIRED)
    base = foundation.lay(settings, azure)
    apps = _environment(base, azure)
    # Public to whatever the environment is open to: the virtual network alone, unless ingress is public.
    host = rendering.host_name(base.names.workload(Role.GATEWAY), Ingress.PUBLIC, apps.default_domain)
    data = data_plane.keep(base, azure, public_origin=pulumi.Output.concat("https://", host))
    granted = access.give(base, data, clients_reach_blob=azure.storage.clients_reach_blob)
    workflows = access.admit_workflows(base, azure.github) if azure.github else {}
    platform = None
    if azure.image.digest is not None:
        platform = PlatformArgs(
            compute=_compute(base, azure, apps, data, azure.image.digest, granted),
            topology=_topology(settings, azure, base, data, host),
            data=[data.postgres, data.store, data.vault, *data.endpoints, *granted],
        )
    outputs = {
        "resource_group": base.group,
        "registry": data.images.login_server,
        "database": data.postgres.name,
        "storage_account": data.store.name,
        "key_vault": data.vault.name,
        "workspace_id": base.monitoring.workspace_id,
        **({"outbound_address": base.network.outbound_address} if base.network.outbound_address else {}),
        **workflows,
    }
    return Stack(platform=platform, outputs=outputs)


def _environment(base: Foundation, azure: AzureSettings) -> Environment:
    return Environment(
        "apps",
        EnvironmentArgs(
            environment_name=base.names.environment,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            subnet_id=base.network.subnet_ids[SubnetRole.CONTAINER_APPS],
            network_id=base.network.network_id,
            workspace_id=base.monitoring.workspace_id,
            internal=azure.exposure is Exposure.INTERNAL,
            zone_redundant=azure.zone_redundant,
        ),
    )


def _compute(
    base: Foundation,
    azure: AzureSettings,
    apps: Environment,
    data: Data,
    digest: str,
    granted: Sequence[pulumi.Resource],
) -> ContainerAppsCompute:
    return ContainerAppsCompute(
        ContainerAppsArgs(
            environment_id=apps.id,
            default_domain=apps.default_domain,
            location=base.location,
            resource_group_name=base.group,
            tags=base.tags,
            image=Image(server=data.images.login_server, repository=azure.image.repository, digest=digest),
            names={role.value: base.names.workload(role) for role in ROLES_WITH_IDENTITY},
            identity_ids={base.names.identity(role): identity.id for role, identity in base.identities.items()},
            # Hidden edges: an image is pulled with a right and over an endpoint that no value of an app comes from.
            requires=[*granted, *data.endpoints],
        )
    )


def _topology(
    settings: Settings, azure: AzureSettings, base: Foundation, data: Data, host: pulumi.Output[str]
) -> Topology:
    return Topology(
        sizes=settings.sizes,
        ports=dict.fromkeys(settings.sizes, _PORT),
        identities={
            role: WorkloadIdentity(
                name=base.names.identity(role), client_id=identity.client_id, principal_id=identity.principal_id
            )
            for role, identity in base.identities.items()
        },
        data=DataPlane(
            database_host=pulumi.Output.concat(data.postgres.host, f":{_POSTGRES_PORT}"),
            sslmode="verify-full",
            blob_container_url=data.store.container_url,
            key_vault_url=data.vault.url,
        ),
        public_hosts=[host],
        ingress=Ingress.PUBLIC,
        limits=settings.limits,
        clients_reach_blob=azure.storage.clients_reach_blob,
        gateway_metrics_port=_METRICS_PORT,
    )
