"""The data plane of the local stack as one component: PostgreSQL, blobs, managed identities and a Key Vault.

On Azure these are services of Azure. Here PostgreSQL is the real one, Azurite is Microsoft's emulator, and managed
identity and Key Vault are a stand-in that answers as Azure does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi

from components.compute.local.backend import DATA_PRIORITY
from components.compute.local.layout import Layout
from components.compute.local.processes import HOST, ProcessGroup
from components.compute.local.resources import RunningGroup, SupervisorDaemon
from components.emulators import azurite, identities
from components.emulators.azure.entra import directory
from components.emulators.azure.entra.directory import Directory
from components.emulators.blob_container import BlobContainer
from components.emulators.identities import EmulatedIdentity
from components.emulators.postgres import STOP_SIGNAL

DATA_IMAGE = "working-tree"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where each part listens on 127.0.0.1."""

    postgres: int
    blobs: int
    identity: int
    vault: int
    entra: int


@dataclass(frozen=True, kw_only=True)
class DataPlaneArgs:
    """All plain, because everything on one machine is known beforehand.

    `root` is the stack's folder, `azurite` the folder that holds its node_modules, `administrator` the identity that
    may make databases and roles, `deployer` the one that makes the container, `token_seconds` the lifetime of tokens.
    `directory` is who may sign in to Entra, None for a stack without it.
    """

    root: Path
    azurite: Path
    ports: Ports
    identities: Sequence[EmulatedIdentity]
    administrator: EmulatedIdentity
    deployer: EmulatedIdentity
    container: str
    token_seconds: int
    directory: Directory | None = None


class DataPlane(pulumi.ComponentResource):
    """Runs the data plane under the stack's supervisor. Deleting it stops the processes and keeps the data."""

    resources: list[pulumi.Resource]
    database_host: str
    blob_container_url: str
    key_vault_url: str

    def __init__(self, name: str, args: DataPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow:local:DataPlane", name, {}, opts)
        ports, layout = args.ports, Layout(args.root)
        self.database_host = f"{HOST}:{ports.postgres}"
        self.blob_container_url = azurite.container_url(ports.blobs, args.container)
        self.key_vault_url = f"https://{HOST}:{ports.vault}/"

        # Hidden edge: a process group is written into the supervisor of its folder.
        supervisor = SupervisorDaemon("supervisor", args.root, pulumi.ResourceOptions(parent=self))
        under = pulumi.ResourceOptions(parent=self, depends_on=[supervisor])
        postgres = RunningGroup("postgres", _postgres(args, layout), under)
        blobs = RunningGroup("blobs", _blobs(args, layout), under)
        # Hidden edge: the identity endpoint writes tokens into the database.
        azure = RunningGroup(
            "azure", _azure(args, layout), pulumi.ResourceOptions(parent=self, depends_on=[supervisor, postgres])
        )
        container = BlobContainer(
            "artifacts",
            url=self.blob_container_url,
            identity_endpoint=identity_endpoint(ports),
            client_id=args.deployer.client_id,
            identity_header=str(identities.header_file(layout.data, args.deployer.name)),
            ca_bundle=str(ca_bundle(args.root)),
            # Hidden edge: it is made through both.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blobs, azure]),
        )
        self.resources = [postgres, azure, container]
        self.register_outputs(
            {
                "database_host": self.database_host,
                "blob_container_url": self.blob_container_url,
                "key_vault_url": self.key_vault_url,
            }
        )


def identity_endpoint(ports: Ports) -> str:
    """The value of IDENTITY_ENDPOINT for every process of the stack."""
    return f"http://{HOST}:{ports.identity}/msi/token"


def entra_authority(ports: Ports) -> str:
    """The address of Entra's sign-in."""
    return f"https://{HOST}:{ports.entra}"


def ca_bundle(root: Path) -> Path:
    """What clients of the blobs and of the Key Vault trust. The programs of the data plane make it."""
    return Layout(root).data / "certificates" / "bundle.pem"


def _postgres(args: DataPlaneArgs, layout: Layout) -> ProcessGroup:
    administrator = f"{args.administrator.name}:{args.administrator.principal_id}"
    flags = {
        "state": str(layout.data),
        "sockets": str(_postgres_sockets(layout)),
        "port": str(args.ports.postgres),
        "administrator": administrator,
    }
    return _group(args, "postgres", args.ports.postgres, flags, stop_signal=STOP_SIGNAL, stop_seconds=60)


def _blobs(args: DataPlaneArgs, layout: Layout) -> ProcessGroup:
    flags = {"state": str(layout.data), "port": str(args.ports.blobs), "azurite": str(args.azurite)}
    env = {"IDENTITIES": identities.dump(args.identities)}
    return _group(args, "azurite", args.ports.blobs, flags, name="blobs", env=env)


def _azure(args: DataPlaneArgs, layout: Layout) -> ProcessGroup:
    flags = {
        "state": str(layout.data),
        "identity-port": str(args.ports.identity),
        "vault-port": str(args.ports.vault),
        "postgres-sockets": str(_postgres_sockets(layout)),
        "postgres-port": str(args.ports.postgres),
        "lifetime": str(args.token_seconds),
    }
    env = {"IDENTITIES": identities.dump(args.identities)}
    extra_ports = [args.ports.vault]
    if args.directory is not None:
        flags["entra-port"] = str(args.ports.entra)
        env["DIRECTORY"] = directory.dump(args.directory)
        extra_ports.append(args.ports.entra)
    return _group(
        args,
        "azure",
        args.ports.identity,
        flags,
        env=env,
        extra_ports=extra_ports,
        ready="/ready",
        live="/ready",
    )


def _group(
    args: DataPlaneArgs,
    module: str,
    port: int,
    flags: dict[str, str],
    *,
    name: str | None = None,
    env: dict[str, str] | None = None,
    extra_ports: list[int] | None = None,
    ready: str | None = None,
    live: str | None = None,
    stop_signal: str = "TERM",
    stop_seconds: int = 30,
) -> ProcessGroup:
    options = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    return ProcessGroup(
        root=str(args.root),
        name=name or module,
        command=[sys.executable, "-m", f"components.emulators.{module}", *options],
        env=env or {},
        ports=[port],
        extra_ports=extra_ports or [],
        priority=DATA_PRIORITY,
        image=DATA_IMAGE,
        ready=ready,
        live=live,
        stop_signal=stop_signal,
        stop_seconds=stop_seconds,
    )


def _postgres_sockets(layout: Layout) -> Path:
    return layout.sockets / "postgres"
