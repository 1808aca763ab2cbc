"""`mlflow-runtime prepare` as its platform runs it: by token and over TLS against the data plane of the local stack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.plane import PREPARE, REGISTRY, REPOSITORY, TRACKING, Plane
from tests.support.ports import first_of_free_ports
from tests.support.role_environment import given
from tests.support.services import topology_on

ROWS = "SELECT name FROM experiments"


@pytest.fixture
def plane() -> Iterator[Plane]:
    # Not below pytest's own folder, whose name is too long for a Unix socket on macOS.
    folder = Path(tempfile.mkdtemp(prefix="plane-"))
    made = Plane(folder, first_of_free_ports(4))
    try:
        yield made
    finally:
        made.stop_all()
        shutil.rmtree(folder)


def run_prepare(plane: Plane, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **given("prepare", topology_on(plane)),
        **plane.environment(PREPARE),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY / "runtime"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS": "20",
        **changes,
    }
    command = [sys.executable, "-m", "mlflow_runtime.cli", "prepare"]
    return subprocess.run(
        command, env=warm.role(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180
    )


def test_prepare_by_token(plane: Plane) -> None:
    plane.start_postgres()
    azure = plane.start_azure()

    first = run_prepare(plane)
    assert first.returncode == 0, first.stdout
    assert "roles: created mlflow-tracking, mlflow-registry" in first.stdout
    assert "secrets: webhook-encryption-key created, crypto-kek-passphrase created" in first.stdout

    for identity in (TRACKING, REGISTRY):
        token = plane.token(identity)["access_token"]
        with plane.sql(identity.name, token, "tracking") as cursor:
            cursor.execute(ROWS)
            assert cursor.fetchall() == [("Default",)]

    second = run_prepare(plane)
    assert second.returncode == 0, second.stdout
    for line in ("roles: present", "secrets: webhook-encryption-key kept, crypto-kek-passphrase kept", ": in order"):
        assert line in second.stdout

    token = plane.token(PREPARE)["access_token"]
    for output in (first, second):
        assert token not in output.stdout

    nowhere = run_prepare(
        plane,
        MLFLOW_RUNTIME_KEY_VAULT_URL=f"https://127.0.0.1:{plane.blob_port}",
        MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS="1",
    )
    assert nowhere.returncode == 1
    for words in (
        "step 'secrets' failed",
        "Connection refused",
        "old replicas keep serving",
        "Key Vault Secrets Officer",
    ):
        assert words in nowhere.stdout

    azure.stop(signal.SIGTERM)
    nobody = run_prepare(plane, MLFLOW_RUNTIME_PREPARE_WAIT_SECONDS="1")
    assert nobody.returncode == 1
    assert "step 'reach the database' failed" in nobody.stdout
    assert "gives no token" in nobody.stdout
