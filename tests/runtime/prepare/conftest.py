"""One PostgreSQL for all tests of prepare, with a prepared pair of databases that tests clone."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from mlflow_runtime.prepare.lock import LOCK_KEY
from mlflow_runtime.prepare.settings import Settings

from tests.runtime.prepare.servers import KeyVault, PostgresServer, postgres_server
from tests.runtime.prepare.settings_for import settings_for

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Pair:
    """A tracking and a registry database on the test server."""

    server: PostgresServer
    tracking: str
    registry: str

    def settings(self, wait_seconds: float = 60) -> Settings:
        return settings_for(self.server.port, self.tracking, self.registry, wait_seconds)

    def as_admin(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        return self.server.run(database, "postgres", *statements)

    def process(self) -> "subprocess.Popen[str]":
        """Starts prepare as a process of its own; its output is a pipe."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.runtime.prepare.prepare_process",
                str(self.server.port),
                self.tracking,
                self.registry,
            ],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'runtime'}", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


@dataclass(frozen=True)
class Prepared:
    """The pair that two processes prepared at once, and what each of them printed."""

    pair: Pair
    outputs: list[str]
    exit_codes: list[int]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def prepared(server: PostgresServer) -> Prepared:
    """Two prepares on a server with nothing, both kept at the lock until both are there."""
    pair = Pair(server, "base_tracking", "base_registry")
    gate = server.connect("postgres", "postgres")
    with gate.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
    processes = [pair.process(), pair.process()]
    heads = [_output_until(process, "another prepare is at work") for process in processes]
    gate.close()
    tails = [process.communicate(timeout=120)[0] for process in processes]
    outputs = [head + tail for head, tail in zip(heads, tails, strict=True)]
    return Prepared(pair, outputs, [process.returncode for process in processes])


def _output_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What the process printed up to the line with `words`, or all of it if that line never came."""
    assert process.stdout is not None
    seen = ""
    for line in iter(process.stdout.readline, ""):
        seen += line
        if words in line:
            break
    return seen


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def clone(prepared: Prepared) -> Callable[[], Pair]:
    """Makes a prepared pair that a test may spoil. (Privileges on the databases themselves are not cloned.)"""
    base = prepared.pair

    def make() -> Pair:
        pair = fresh_names(base.server)
        for source, copy in ((base.tracking, pair.tracking), (base.registry, pair.registry)):
            base.server.run("postgres", "mlflow-prepare", f"CREATE DATABASE {copy} TEMPLATE {source}")
        return pair

    return make


@pytest.fixture
def fresh(prepared: Prepared) -> Pair:
    """Names of two databases that do not exist yet, on a server that has the roles."""
    return fresh_names(prepared.pair.server)


def fresh_names(server: PostgresServer) -> Pair:
    number = next(_numbers)
    return Pair(server, f"tracking_{number}", f"registry_{number}")


@pytest.fixture
def key_vault() -> KeyVault:
    return KeyVault()


Refused = psycopg2.errors.InsufficientPrivilege
