"""A data plane and services of a test's own: the real programs on free ports, prepared by the real prepare role."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient

from components.compute.contract import WorkloadIdentity
from components.emulators.azurite import container_url
from components.mlflow.limits import Limits
from components.mlflow.roles import Role
from components.mlflow.topology import DataAddresses, Topology
from mlflow_runtime.gateway import caddy
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import from_environment
from mlflow_runtime.routes import ServiceRole
from tests.support import warm
from tests.support.answer import Answer
from tests.support.plane import ARTIFACTS, PATIENCE, REPOSITORY, Plane, Program
from tests.support.plane import BY_ROLE as BY_ROLE  # for the tests of this folder
from tests.support.plane import eventually as eventually  # for the tests of this folder
from tests.support.ports import first_of_free_ports
from tests.support.role_environment import TOPOLOGY, given

CONTAINER = "artifacts"
PUBLIC_HOST = "mlflow.example.com"


def topology_on(plane: Plane) -> Topology:
    """Return the services on a data plane of this machine."""
    return replace(
        TOPOLOGY,
        data=DataAddresses(
            database_host=f"127.0.0.1:{plane.postgres_port}",
            sslmode="disable",
            blob_container_url=container_url(plane.blob_port, CONTAINER),
            key_vault_url=plane.vault_url,
        ),
        identities={
            Role(role): WorkloadIdentity(name=each.name, client_id=each.client_id, principal_id=each.principal_id)
            for role, each in BY_ROLE.items()
        },
    )


@dataclass
class Service:
    """A started service, asked directly, as nobody does but the gateway and a probe."""

    role: str
    port: int
    program: Program

    @property
    def log(self) -> str:
        return self.program.log.read_text()

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        host: str = PUBLIC_HOST,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; the path goes out as it is given. A body that is no bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Host": host, "Content-Type": "application/json", **(headers or {})}
        method = method or ("GET" if data is None else "POST")
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def ready(self) -> Answer:
        return self.ask("/ready")


@dataclass
class Platform:
    """The data plane of a group of tests, and the services that they start on it."""

    plane: Plane
    azurite: Path
    services: list[Service] = field(default_factory=list)
    postgres: Program = field(init=False)
    blobs: Program = field(init=False)

    @property
    def container(self) -> str:
        return container_url(self.plane.blob_port, CONTAINER)

    def database_url(self, role: str, database: str) -> str:
        user = BY_ROLE[role].name
        return f"postgresql+entra://{user}@127.0.0.1:{self.plane.postgres_port}/{database}?sslmode=disable"

    def environment(self, role: str) -> dict[str, str]:
        """The environment of a role, as the local platform sets it."""
        topology = replace(topology_on(self.plane), public_hosts=[PUBLIC_HOST], limits=Limits(grace_seconds=10))
        settings = given(role, topology)
        if role == "prepare":
            settings["MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS"] = "60"
        else:
            settings["MLFLOW_RUNTIME_DRAIN_SECONDS"] = "0"  # as the local backend sets it for a lone replica
        return {
            **settings,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY / 'runtime'}",
            **self.plane.environment(BY_ROLE[role]),
            "SSL_CERT_FILE": str(self.plane.ca),
        }

    def run(self, role: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a role to its end."""
        return subprocess.run(
            command(role),
            env=warm.role(self.environment(role) | changes),
            cwd=self.plane.folder,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def start(self, role: str, *, ready: bool = True, prefix: Sequence[str] = (), **changes: str) -> Service:
        """Start a service. `prefix` is a command that runs another in its place, so the service starts cold."""
        port = first_of_free_ports(1)
        log = self.plane.folder / f"{role}-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*prefix, *command(role)],
                env=warm.role(self.environment(role) | {"PORT": str(port)} | (warm.COLD if prefix else {}) | changes),
                cwd=self.plane.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        service = Service(role, port, Program(process, log))
        self.services.append(service)
        if ready:
            eventually(lambda: service.ready().status == 200, f"{role} ready, see {log}")
        return service

    def start_azure(self, lifetime: int = 3600) -> Program:
        """Start managed identity and Key Vault for all identities of the platform."""
        return self.plane.start_azure(lifetime)

    def kill_postgres(self) -> None:
        """kill -9, and wait for its sessions too: one may answer what it has taken before it notices."""
        sessions = psutil.Process(self.postgres.process.pid).children(recursive=True)
        self.postgres.kill()
        _, left = psutil.wait_procs(sessions, PATIENCE)
        assert left == []

    def restart_postgres(self) -> None:
        """Start PostgreSQL again after it was killed."""
        self.postgres = self.plane.start_postgres()

    def restart_blobs(self) -> None:
        """Start Azurite again after it was killed."""
        self.blobs = self.plane.start_azurite(self.azurite)

    def blob_container(self) -> ContainerClient:
        """The artifact container, signed in as the artifacts service."""
        token = self.plane.token(ARTIFACTS, "https://storage.azure.com")
        return ContainerClient.from_container_url(
            self.container,
            credential=_Token(token["access_token"]),
            connection_verify=str(self.plane.ca),
            retry_total=0,
        )

    def stop(self) -> None:
        """End every service and every program of the data plane."""
        for service in self.services:
            process = service.program.process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for service in self.services:
            try:
                service.program.process.wait(20)
            except subprocess.TimeoutExpired:
                service.program.kill()
        self.plane.stop_all()


@contextlib.contextmanager
def gateway(
    folder: Path,
    service: str | Mapping[str, str],
    change: Callable[[dict[str, Any]], None] | None = None,
    *,
    port: int | None = None,
    hosts: Sequence[str] = (PUBLIC_HOST,),
) -> Iterator[int]:
    """A gateway before one `host:port`, which takes all calls, or one for each role; its port.

    `change` is one of its configuration.
    """
    port = port or first_of_free_ports(1)
    addresses = dict.fromkeys(ServiceRole, service) if isinstance(service, str) else service
    upstreams = {f"MLFLOW_RUNTIME_{role.upper()}_UPSTREAMS": address for role, address in addresses.items()}
    own = given("gateway", replace(TOPOLOGY, public_hosts=list(hosts)))
    config = render(from_environment({**own, **upstreams, "PORT": str(port)}))
    if change is not None:
        change(config)
    file = folder / "gateway.json"
    file.write_text(json.dumps(config))
    with (folder / "gateway.log").open("wb") as log:
        proxy = subprocess.Popen([caddy.find(), "run", "--config", str(file)], stdout=log, stderr=log)
    try:
        eventually(lambda: _listens(port), "the gateway listens")
        yield port
    finally:
        proxy.terminate()
        proxy.wait()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port)):
        return True


@contextlib.contextmanager
def platform(folder: Path, azurite: Path, *, lifetime: int = 3600) -> Iterator[Platform]:
    """A prepared data plane."""
    made = Platform(Plane(folder, first_of_free_ports(4)), azurite)
    try:
        made.postgres = made.plane.start_postgres(ready=False)
        made.blobs = made.plane.start_azurite(azurite, ready=False)
        made.start_azure(lifetime)
        done = made.run("prepare")
        assert done.returncode == 0, done.stdout + done.stderr
        eventually(lambda: made.blob_container().create_container(), "container made")
        yield made
    finally:
        made.stop()


def command(role: str) -> list[str]:
    """The command of a role, as the entry point of the package runs it."""
    return [sys.executable, "-m", "mlflow_runtime.cli", role]


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop a process as a machine that hangs: its connections stay and nothing answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class _Token:
    def __init__(self, value: str) -> None:
        self._value = value

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(self._value, int(time.time()) + 3600)
