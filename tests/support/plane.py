"""A data plane of its own for tests: the real programs, on free ports, in a folder of the test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import psycopg2

from components.emulators import certificates, identities, postgres
from components.emulators.azure.managed_identity import DATABASE
from components.emulators.identities import EmulatedIdentity
from components.mlflow.roles import Role
from infra.local import emulated_identity
from tests.support.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 180.0  # seconds: a busy machine takes a minute for a start
STACK = "test"

BY_ROLE: Mapping[str, EmulatedIdentity] = {role.value: emulated_identity(STACK, role) for role in Role}
TRACKING, REGISTRY = BY_ROLE[Role.TRACKING], BY_ROLE[Role.REGISTRY]
ARTIFACTS, PREPARE = BY_ROLE[Role.ARTIFACTS], BY_ROLE[Role.PREPARE]
IDENTITIES = tuple(BY_ROLE.values())

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str) -> T:
    """The first true value of `probe`; errors of a program that is not up yet count as not yet."""
    return until(probe, what, PATIENCE, not_yet=(OSError, psycopg2.OperationalError), pause=0.05)


@dataclass
class Program:
    """One started program and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """kill -9, and wait until it has gone."""
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def up(self) -> bool:
        """True; fails with the log of a program that has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return True

    def exit_code(self) -> int:
        """Wait for an end that comes by itself."""
        return self.process.wait(PATIENCE)


@dataclass
class Plane:
    """Where the programs keep things and listen."""

    folder: Path
    base_port: int
    programs: list[Program] = field(default_factory=list)
    python_path: Path | None = None
    prefix: tuple[str, ...] = ()
    sockets_folder: Path | None = None

    @property
    def state(self) -> Path:
        return self.folder / "data"

    @property
    def sockets(self) -> Path:
        return self.sockets_folder or self.folder / "pg"

    @property
    def identity_port(self) -> int:
        return self.base_port

    @property
    def vault_port(self) -> int:
        return self.base_port + 1

    @property
    def postgres_port(self) -> int:
        return self.base_port + 2

    @property
    def blob_port(self) -> int:
        return self.base_port + 3

    @property
    def vault_url(self) -> str:
        return f"https://127.0.0.1:{self.vault_port}"

    @property
    def ca(self) -> Path:
        return certificates.ca_bundle(self.state)

    def start(self, module: str, *arguments: str, **environment: str) -> Program:
        """Start a program of components.emulators in the background."""
        log = self.folder / f"{module}-{len(self.programs)}.log"
        path = f"{self.python_path}{os.pathsep}{REPOSITORY}" if self.python_path else str(REPOSITORY)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *self.prefix,
                    sys.executable,
                    "-m",
                    f"components.emulators.{module}",
                    "--state",
                    self.state,
                    *arguments,
                ],
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": path} | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        program = Program(process, log)
        self.programs.append(program)
        return program

    def start_azure(
        self, lifetime: int = 3600, *, ready: bool = True, known: Iterable[EmulatedIdentity] = IDENTITIES
    ) -> Program:
        """Start managed identity and Key Vault for these identities."""
        program = self.start(
            "azure",
            *("--identity-port", str(self.identity_port)),
            *("--vault-port", str(self.vault_port)),
            *("--postgres-sockets", str(self.sockets)),
            *("--postgres-port", str(self.postgres_port)),
            *("--lifetime", str(lifetime)),
            IDENTITIES=identities.dump(known),
        )
        if ready:
            eventually(
                lambda: program.up() and get(f"http://127.0.0.1:{self.identity_port}/ready")[0] == 200,
                "managed identity and Key Vault",
            )
        return program

    def start_postgres(self, *, ready: bool = True) -> Program:
        """Start PostgreSQL with mlflow-prepare as its administrator."""
        program = self.start(
            "postgres",
            *("--sockets", str(self.sockets)),
            *("--port", str(self.postgres_port)),
            *("--administrator", f"{PREPARE.name}:{PREPARE.principal_id}"),
        )
        if ready:
            eventually(lambda: program.up() and postgres.is_ready(self.postgres_port), "PostgreSQL")
        return program

    def start_azurite(
        self, azurite: Path, *, ready: bool = True, known: Iterable[EmulatedIdentity] = IDENTITIES
    ) -> Program:
        """Start Azurite for these identities."""
        program = self.start(
            *("azurite", "--port", str(self.blob_port), "--azurite", str(azurite)), IDENTITIES=identities.dump(known)
        )
        if ready:
            eventually(
                lambda: program.up() and get(f"https://127.0.0.1:{self.blob_port}/", ca=self.ca)[0] == 400, "Azurite"
            )
        return program

    def stop_all(self) -> None:
        """End what this plane started."""
        for program in reversed(self.programs):
            if program.process.poll() is None:
                # SIGTERM would have PostgreSQL wait for its clients.
                program.process.send_signal(signal.SIGINT)
                try:
                    program.process.wait(10)
                except subprocess.TimeoutExpired:
                    program.kill()

    def environment(self, identity: EmulatedIdentity) -> dict[str, str]:
        """What the platform gives to a process of this identity."""
        header = identities.header_file(self.state, identity.name).read_text()
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.identity_port}/msi/token",
            "IDENTITY_HEADER": header,
            "AZURE_CLIENT_ID": identity.client_id,
            "REQUESTS_CA_BUNDLE": str(self.ca),
        }

    def ask_token(
        self, header: str | None, method: str = "GET", **query: str
    ) -> tuple[int, dict[str, Any] | None, Mapping[str, str]]:
        """A raw request to the managed identity endpoint."""
        url = f"http://127.0.0.1:{self.identity_port}/msi/token?{urlencode(query)}"
        headers = {} if header is None else {"X-IDENTITY-HEADER": header}
        return get(url, headers=headers, method=method)

    def token(self, identity: EmulatedIdentity, resource: str = DATABASE) -> dict[str, Any]:
        """The answer to a proper request for a token."""
        header = identities.header_file(self.state, identity.name).read_text()
        query = {"api-version": "2019-08-01", "resource": resource, "client_id": identity.client_id}
        status, body, _ = self.ask_token(header, **query)
        assert status == 200
        assert body is not None
        return body

    @contextlib.contextmanager
    def sql(self, role: str, password: str, database: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """A cursor of a new TCP connection, each statement its own transaction."""
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=self.postgres_port, user=role, password=password, dbname=database)
        ) as connection:
            connection.autocommit = True
            yield connection.cursor()

    @contextlib.contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """A cursor of the superuser, over the private socket."""
        host, port = str(self.sockets), self.postgres_port
        with contextlib.closing(psycopg2.connect(host=host, port=port, user="postgres", dbname=database)) as connection:
            connection.autocommit = True
            yield connection.cursor()


def get(
    url: str, *, headers: Mapping[str, str] | None = None, method: str = "GET", ca: Path | None = None
) -> tuple[int, dict[str, Any] | None, Mapping[str, str]]:
    """Status, JSON body if any, and headers of an answer, whatever its status."""
    context = ssl.create_default_context(cafile=ca) if ca else None
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
            content, status, found = answer.read(), answer.status, answer.headers
    except urllib.error.HTTPError as error:
        content, status, found = error.read(), error.code, error.headers
    is_json = found.get("Content-Type", "").startswith("application/json")
    return status, json.loads(content) if content and is_json else None, found
