"""What a stack with compute local consists of besides MLflow: its data plane, its backend, its identities."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from components.compute.contract import Ingress, WorkloadIdentity
from components.compute.local.backend import LocalCompute, LocalComputeArgs
from components.compute.local.containers import ContainerError, find_image
from components.compute.local.layout import Layout
from components.compute.local.processes import HOST
from components.emulators import identities
from components.emulators.azure.entra.directory import Application, Directory, Principal
from components.emulators.azure.entra.directory import Platform as Registration
from components.emulators.data_plane import (
    DataPlane,
    DataPlaneArgs,
    Ports,
    ca_bundle,
    entra_authority,
    identity_endpoint,
)
from components.emulators.identities import BlobAccess
from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, ROLES, AccessControl
from components.mlflow.platform import PlatformArgs
from components.mlflow.roles import Role
from components.mlflow.topology import DataAddresses, Topology
from infra import rights
from infra.naming import ARTIFACT_CONTAINER, identity_names
from infra.settings.access import AccessMode
from infra.settings.model import Settings, SettingsError
from infra.settings.ports import LocalPort, port
from infra.stack import Stack

REPOSITORY = Path(__file__).resolve().parents[1]
AZURITE = REPOSITORY / ".venv" / "azurite"

DEPLOYER = "deployer"
"""The identity by which a person or a workflow deploys."""


def create_stack(settings: Settings) -> Stack:
    """Create the data plane on this machine, and return how the services run on it.

    SettingsError where the image that is to run cannot: before anything is made.
    """
    backend = compute(settings)
    data = data_plane(settings)
    topology = Topology(
        sizes=settings.sizes,
        ports=ports(settings),
        identities=workload_identities(settings),
        data=DataAddresses(
            database_host=data.database_host,
            sslmode="disable",  # the local server listens on 127.0.0.1 only and its build has no TLS
            blob_container_url=data.blob_container_url,
            key_vault_url=data.key_vault_url,
        ),
        public_hosts=public_hosts(settings),
        ingress=Ingress.PUBLIC,
        bind_host=HOST,
        limits=settings.limits,
        gateway_metrics_port=_metrics_port(settings),
        access=access(settings),
    )
    return Stack(platform=PlatformArgs(compute=backend, topology=topology, data=data.resources))


def root(settings: Settings) -> Path:
    """The folder of everything that the stack keeps."""
    return (REPOSITORY / settings.local.state_directory).resolve()


def ports(settings: Settings) -> dict[Role, int]:
    """The port of each service; replicas have the ones after it."""
    return {role: port(settings.local.port_base, LocalPort(role.value)) for role in settings.sizes}


def public_hosts(settings: Settings) -> list[str]:
    """The names by which this machine's browsers and clients reach the gateway."""
    gateway = ports(settings)[Role.GATEWAY]
    return [f"{HOST}:{gateway}", f"localhost:{gateway}"]


def workload_identities(settings: Settings) -> dict[Role, WorkloadIdentity]:
    """The identities as the services' specs name them."""
    return {
        role: WorkloadIdentity(
            name=name,
            client_id=identities.client_id(settings.stack, name),
            principal_id=identities.principal_id(settings.stack, name),
        )
        for role, name in identity_names().items()
    }


def access(settings: Settings) -> AccessControl | None:
    """Who is let in: people and applications of the emulator's Entra."""
    found = directory(settings)
    if found is None:
        return None
    return AccessControl(
        tenant_id=found.tenant_id,
        client_id=found.platform.client_id,
        teams=settings.teams,
        shares=settings.shares,
        groups=settings.access.groups,
        blocked=settings.access.blocked,
        contact=settings.access.contact or "",
        authority=entra_authority(data_ports(settings)),
    )


def directory(settings: Settings) -> Directory | None:
    """Who can sign in: one person for each role in each workspace, one for all of them, one without a role, and the
    pipeline.
    """
    if settings.access.mode is AccessMode.NONE:
        return None
    workspaces = (DEFAULT_WORKSPACE, *settings.teams)
    members = [
        Principal(name=f"{role.lower()}@{workspace}.example.com", roles=(f"{workspace}.{role}",))
        for workspace in workspaces
        for role in ROLES
    ]
    return Directory(
        platform=Registration(
            redirects=tuple(f"http://{host}/access/callback" for host in public_hosts(settings)),
            federated=(identities.principal_id(settings.stack, identity_names()[Role.TRACKING]),),
            # What a group's id stands for, the stack says.
            groups_claim=bool(settings.access.groups),
        ),
        people=(
            Principal(name="admin@example.com", roles=(PLATFORM_ADMIN,)),
            *members,
            *(Principal(name=f"member@{group}.example.com", groups=(group,)) for group in settings.access.groups),
            Principal(name="nobody@example.com"),
        ),
        applications=(pipeline(settings),),
    )


def pipeline(settings: Settings) -> Application:
    """The application that the deployer's identity signs in as, with a role in each workspace."""
    return Application(
        name="pipeline",
        roles=tuple(f"{workspace}.Registrar" for workspace in (DEFAULT_WORKSPACE, *settings.teams)),
        groups=tuple(settings.access.groups),
        federated=(identities.principal_id(settings.stack, DEPLOYER),),
    )


def data_plane(settings: Settings) -> DataPlane:
    """Databases, blobs, identities and the vault, on this machine."""
    granted = {role: emulated_identity(settings.stack, role) for role in Role}
    deployer = identities.EmulatedIdentity.of(settings.stack, DEPLOYER, blobs=BlobAccess.WRITE)
    return DataPlane(
        "data",
        DataPlaneArgs(
            root=root(settings),
            azurite=AZURITE,
            ports=data_ports(settings),
            identities=[*granted.values(), deployer],
            administrator=granted[rights.DATABASE_ADMINISTRATOR],
            deployer=deployer,
            container=ARTIFACT_CONTAINER,
            token_seconds=settings.local.token_seconds,
            directory=directory(settings),
        ),
    )


def compute(settings: Settings) -> LocalCompute:
    """The backend that runs the image as containers, or the working tree's runtime as processes."""
    folder = root(settings)
    image = None if settings.local.image is None else _image(settings.local.image)
    bundle = str(ca_bundle(folder))
    return LocalCompute(
        LocalComputeArgs(
            root=folder,
            command=[str(Path(sys.executable).parent / "mlflow-runtime")],
            image=image or working_tree_image(REPOSITORY / "runtime"),
            contained=image is not None,
            environment={
                "IDENTITY_ENDPOINT": identity_endpoint(data_ports(settings)),
                "REQUESTS_CA_BUNDLE": bundle,
                "SSL_CERT_FILE": bundle,
            },
            identity_headers=identities.header_file(Layout(folder).data, DEPLOYER).parent,
        )
    )


def working_tree_image(runtime: Path) -> str:
    """What stands for the image's digest: the content of the runtime's sources and of its lock file."""
    digest = hashlib.sha256()
    for path in sorted([*(runtime / "mlflow_runtime").rglob("*.py"), runtime / "requirements.lock"]):
        digest.update(str(path.relative_to(runtime)).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"sha256:{digest.hexdigest()}"


def _image(reference: str) -> str:
    try:
        return find_image(reference).identifier
    except ContainerError as error:
        raise SettingsError(f"local.image: {error}.") from error


def _metrics_port(settings: Settings) -> int:
    return port(settings.local.port_base, LocalPort.GATEWAY_METRICS)


def data_ports(settings: Settings) -> Ports:
    """Where each part of the data plane listens."""
    base = settings.local.port_base
    return Ports(
        postgres=port(base, LocalPort.POSTGRES),
        blobs=port(base, LocalPort.BLOBS),
        identity=port(base, LocalPort.IDENTITY),
        vault=port(base, LocalPort.VAULT),
        entra=port(base, LocalPort.ENTRA),
    )


def emulated_identity(stack: str, role: Role) -> identities.EmulatedIdentity:
    """Return the identity of a role in a stack of this machine, with the rights that the role has everywhere."""
    return identities.EmulatedIdentity.of(
        stack,
        identity_names()[role],
        secrets=rights.SECRETS.get(role, ()),
        manage_secrets=role is rights.SECRETS_OFFICER,
        blobs=_blob_access(role),
    )


def _blob_access(role: Role) -> BlobAccess:
    if role in rights.BLOB_WRITERS:
        return BlobAccess.WRITE
    return BlobAccess.READ if role in rights.BLOB_READERS else BlobAccess.NONE
