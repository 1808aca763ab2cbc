"""MLflow as it comes, `mlflow server` of the same version, on the databases of a test's data plane."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

from tests.support.plane import Program
from tests.support.ports import first_of_free_ports
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually


@contextlib.contextmanager
def serving(platform: Platform) -> Iterator[Service]:
    """Run it for the block, with one worker. It connects as the superuser: no right that a service has decides."""
    plane, port = platform.plane, first_of_free_ports(1)
    log = plane.folder / f"stock-{port}.log"
    database = f"postgresql+psycopg2://postgres@/{{}}?host={quote(str(plane.sockets))}&port={plane.postgres_port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", database.format("tracking"), "--registry-store-uri", database.format("registry")),
        *("--serve-artifacts", "--artifacts-destination", str(plane.folder / "stock-artifacts")),
        # As the services have them: they are seen in the headers of every answer.
        *("--allowed-hosts", PUBLIC_HOST, "--cors-allowed-origins", f"https://{PUBLIC_HOST}"),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(plane.folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_MODEL_CATALOG_URI": "",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=plane.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = Service("tracking", port, Program(process, log))
    try:
        eventually(lambda: service.program.up() and service.ask("/health").status == 200, f"stock MLflow, see {log}")
        yield service
    finally:
        # Its worker is a process of its session, and does not always end with it.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(20)
