"""One PostgreSQL for all tests of prepare, with a prepared pair of databases that tests clone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from mlflow_runtime.prepare.lock import LOCK_KEY
from tests.runtime.prepare.pairs import Pair, Prepared, fresh_names
from tests.support.servers import KeyVault, PostgresServer, postgres_server


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


def _output_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process printed up to the line with `words`, or all of it if that line never came."""
    assert process.stdout is not None
    seen = ""
    for line in iter(process.stdout.readline, ""):
        seen += line
        if words in line:
            break
    return seen


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


@pytest.fixture
def key_vault() -> KeyVault:
    return KeyVault()
