"""A stack on Azure: foundation -> where it runs -> data -> access -> what runs."""

from __future__ import annotations

import pulumi

from components.azure import arm
from components.azure.image_import import ImageImport
from components.azure.network import ZoneRole
from components.compute.contract import WorkloadIdentity
from components.compute.image import Image
from components.mlflow.platform import PlatformArgs
from components.mlflow.topology import DataAddresses
from infra.azure.access import admit_workflows, grant_access
from infra.azure.compute import KINDS
from infra.azure.data import Data, create_data_plane
from infra.azure.foundation import create_foundation
from infra.azure.services import POSTGRES_PORT, SSLMODE, topology
from infra.settings.azure import AzureSettings, ImageSettings
from infra.settings.model import Settings
from infra.stack import Stack


def create_stack(settings: Settings, azure: AzureSettings) -> Stack:
    """Create everything but the services, and return how those run. Without an image there are none."""
    kind = KINDS[settings.compute]
    # Before anything is created: every kind calls Azure itself, too.
    try:
        arm.endpoint()
    except arm.ArmError as error:
        raise pulumi.RunError(str(error)) from None
    base = create_foundation(settings, azure, subnets=kind.subnets(azure), logs=kind.logs, cluster=kind.cluster)
    place = kind.create_place(base, azure)
    host, tls = place.gateway_host, place.gateway_tls
    data = create_data_plane(base, azure, public_origin=pulumi.Output.concat("https://", host))
    granted = grant_access(base, data, clients_reach_blob=azure.storage.clients_reach_blob, place=place)
    workflows = admit_workflows(base, azure.github, place) if azure.github else {}
    platform = None
    if azure.image.digest is not None:
        image = Image(server=data.images.login_server, repository=azure.image.repository, digest=azure.image.digest)
        services = topology(
            settings,
            identities={
                role: WorkloadIdentity(
                    name=base.names.identity(role),
                    client_id=identity.client_id,
                    principal_id=identity.principal_id,
                )
                for role, identity in base.identities.items()
            },
            data=DataAddresses(
                database_host=pulumi.Output.concat(data.postgres.host, f":{POSTGRES_PORT}"),
                sslmode=SSLMODE,
                blob_container_url=data.store.container_url,
                key_vault_url=data.vault.url,
            ),
            host=host,
            tls=tls,
            clients_reach_blob=azure.storage.clients_reach_blob,
        )
        platform = PlatformArgs(
            compute=place.backend(data, image, services, [*granted, *_imported(data, azure.image)]),
            topology=services,
            data=[data.postgres, data.store, data.vault, *data.endpoints, *granted],
        )
    outputs = {
        "resource_group": base.group,
        "registry": data.images.login_server,
        "database": data.postgres.name,
        "storage_account": data.store.name,
        "key_vault": data.vault.name,
        "workspace_id": base.monitoring.workspace_id,
        **({"blob_zone_id": base.network.zone_ids[ZoneRole.BLOB]} if azure.storage.clients_reach_blob else {}),
        **({"outbound_address": base.network.outbound_address} if base.network.outbound_address else {}),
        **place.outputs(),
        **workflows,
    }
    return Stack(platform=platform, outputs=outputs, publish=place.publish)


def _imported(data: Data, image: ImageSettings) -> list[pulumi.Resource]:
    """Have the image in the stack's registry before anything runs it. Without a source somebody has pushed it there."""
    if image.source is None or image.digest is None:
        return []
    return [
        ImageImport(
            "image",
            registry_id=data.images.id,
            repository=image.repository,
            digest=image.digest,
            source=image.source,
        )
    ]
