"""The objects of a stack in a cluster, as YAML: by the functions that an `up` applies them with.

What only Azure knows is a placeholder, `${TRACKING_CLIENT_ID}`, as `envsubst` fills it in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.place import Place
from components.compute.aks.quantities import quota_of
from components.compute.aks.rendering import ClusterAddresses, job_objects, service_objects
from components.compute.contract import WorkloadIdentity
from components.compute.image import Image
from components.mlflow.roles import BACKENDS, Role
from components.mlflow.topology import DataAddresses, Topology
from infra.azure import cluster
from infra.azure.services import POSTGRES_PORT, SSLMODE, topology
from infra.naming import SUFFIX_LENGTH, Names
from infra.settings.azure import AzureSettings
from infra.settings.model import Settings

PLACEHOLDER_DIGEST = f"sha256:{'0' * 64}"
"""Stands for an image where a stack's file names none."""

# Of names that a namespace has nothing of.
_NO_SUFFIX = "a" * SUFFIX_LENGTH


def text(settings: Settings, azure: AzureSettings) -> str:
    """Return every object of a stack, in the order of creation, as one document of YAML for each."""
    return yaml.dump_all(objects(settings, azure), Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)


def objects(settings: Settings, azure: AzureSettings) -> list[Mapping[str, Any]]:
    """Return every object of a stack, in the order of creation."""
    return [found for group in _groups(*parts(settings, azure)) for found in group.values()]


def parts(settings: Settings, azure: AzureSettings) -> tuple[Topology, Place]:
    """Return the services and their place, with placeholders for what only Azure knows."""
    names = Names(stack=settings.stack, suffix=_NO_SUFFIX)
    services = _topology(settings, azure, names)
    digest = azure.image.digest or PLACEHOLDER_DIGEST
    place = cluster.place(
        azure,
        names,
        image=Image(server="${REGISTRY}", repository=azure.image.repository, digest=digest),
        tenant_id="${TENANT_ID}",
        quota=quota_of(settings.sizes.values(), [services.prepare()]),
    )
    return services, place


def _groups(services: Topology, place: Place) -> Iterator[Mapping[str, Mapping[str, Any]]]:
    """As components/mlflow/platform.py: prepare, then the services, then the gateway."""
    addresses = ClusterAddresses(namespace=place.namespace)
    yield namespace_objects(place)
    yield job_objects(services.prepare(), place)
    for role in BACKENDS:
        yield service_objects(services.service(role, addresses), place)
    yield service_objects(services.gateway(addresses), place)


def _topology(settings: Settings, azure: AzureSettings, names: Names) -> Topology:
    return topology(
        settings,
        identities={
            role: WorkloadIdentity(
                name=names.identity(role),
                client_id=f"${{{role.name}_CLIENT_ID}}",
                principal_id=f"${{{role.name}_PRINCIPAL_ID}}",
            )
            for role in Role
        },
        data=DataAddresses(
            database_host=f"${{DATABASE_HOST}}:{POSTGRES_PORT}",
            sslmode=SSLMODE,
            blob_container_url="${BLOB_CONTAINER_URL}",
            key_vault_url="${KEY_VAULT_URL}",
        ),
        host=cluster.gateway_host(azure, names),
        tls=cluster.gateway_tls(azure),
        clients_reach_blob=azure.storage.clients_reach_blob,
    )


class _Dumper(yaml.SafeDumper):
    """Writes what two objects share twice: an anchor would be nobody's manifest."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of PyYAML
        return True
