"""MLflow as it comes, `mlflow server` of the same version, on the databases and blobs of a local stack that is up.

The same rows and the same bytes: whatever a request names is there for both, and the two can only differ by what the
platform puts around MLflow. It connects as the owner of the databases, so that a right that a service lacks shows too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mlflow_runtime.azure import secrets
from mlflow_runtime.azure.blob_address import BlobAddress
from mlflow_runtime.routes import ServiceRole
from tests.end_to_end.fuzz.asking import Request, ask
from tests.support.local_stack import RunningStack
from tests.support.ports import first_of_free_ports
from tests.support.waiting import until

# Its `sitecustomize` leads MLflow's Azure repository to the emulator.
_EMULATED: Final = Path(__file__).resolve().parents[1] / "upgrade" / "old"
_START_SECONDS: Final = 240.0
_HEALTH: Final = Request(operation="", method="GET", target="/health")


@contextlib.contextmanager
def serving(stack: RunningStack, folder: Path) -> Iterator[str]:
    """Run it for the block and give its URL. Its log is `stock.log` in `folder`."""
    port = first_of_free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = _process_environment(stack, "artifacts")
    log = folder / "stock.log"
    command: list[str] = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", _database(stack, "tracking"), "--registry-store-uri", _database(stack, "registry")),
        *(
            "--serve-artifacts",
            "--artifacts-destination",
            BlobAddress.parse(environment["MLFLOW_RUNTIME_BLOB_CONTAINER_URL"]).wasbs,
        ),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=_environment(stack, environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or ask(url, _HEALTH, 5).status == 200, "stock MLflow", _START_SECONDS)
        assert process.poll() is None, log.read_text()[-3000:]
        yield url
    finally:
        # Its worker is a process of its session, and does not always end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _process_environment(stack: RunningStack, process: str) -> dict[str, str]:
    document = json.loads((stack.local.layout.processes / f"{process}.json").read_text())
    return {name: str(value) for name, value in document["env"].items()}


def _secrets(stack: RunningStack) -> dict[str, str]:
    """The variables that hold what is encrypted in the databases, which the services read from the vault."""
    vault = json.loads((stack.local.layout.data / "vault" / "local.json").read_text())["secrets"]
    return {
        variable: vault[name]["versions"][-1]["value"]
        for name, variable in secrets.SECRETS[ServiceRole.TRACKING].items()
    }


def _database(stack: RunningStack, name: str) -> str:
    sockets = quote(str(stack.local.layout.sockets / "postgres"))
    options = quote("-c role=mlflow-prepare")
    return f"postgresql+psycopg2://postgres@/{name}?host={sockets}&port={stack.port('postgres')}&options={options}"


def _environment(stack: RunningStack, artifacts: Mapping[str, str]) -> dict[str, str]:
    identity = ("IDENTITY_ENDPOINT", "AZURE_CLIENT_ID", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    header = stack.local.layout.data / "identity-headers" / "mlflow-artifacts"
    return {
        **{name: artifacts[name] for name in identity},
        "IDENTITY_HEADER": header.read_text().strip(),
        "BLOB_ACCOUNT_URL": artifacts["MLFLOW_RUNTIME_BLOB_CONTAINER_URL"].rpartition("/")[0],
        "PATH": os.environ["PATH"],
        "HOME": str(stack.local.layout.data),
        "PYTHONPATH": str(_EMULATED),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **_secrets(stack),
        "MLFLOW_MODEL_CATALOG_URI": "",
        "GIT_PYTHON_REFRESH": "quiet",
    }
