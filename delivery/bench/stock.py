"""Stock MLflow as its own command starts it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from components.compute.local.launch import inherited
from components.compute.local.processes import HOST
from delivery.bench.plan import STOCK_POSTGRES, STOCK_SQLITE
from delivery.bench.processes import Processes
from delivery.bench.setup import Setup
from delivery.bench.store import Postgres, Sqlite, Store

WORKERS: Final = 4

_QUIET: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def on_sqlite(processes: Processes, folder: Path) -> Setup:
    """`mlflow server` with its defaults, in a folder of its own: SQLite, four workers, its job runners."""
    return _server(processes, STOCK_SQLITE, folder, (), Sqlite(file=folder / "mlflow.db"), None)


def on_postgres(processes: Processes, folder: Path, server: Postgres, database_pid: int) -> Setup:
    """`mlflow server` with four workers on a database of its own of the same server.

    Its job runners are off. No scenario uses them; they would take memory and a processor from it.
    """
    password = secrets.token_hex(16)
    server.write(f"CREATE ROLE stock LOGIN PASSWORD '{password}'")
    server.write("CREATE DATABASE stock OWNER stock")
    url = f"postgresql+psycopg2://stock:{password}@{HOST}:{server.port}/stock?sslmode=disable"
    store = Postgres(sockets=server.sockets, port=server.port, database="stock")
    options = ("--workers", str(WORKERS))
    env = {"MLFLOW_BACKEND_STORE_URI": url, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return _server(processes, STOCK_POSTGRES, folder, options, store, database_pid, env)


def _server(
    processes: Processes,
    name: str,
    folder: Path,
    options: tuple[str, ...],
    store: Store,
    database: int | None,
    env: Mapping[str, str] | None = None,
) -> Setup:
    folder.mkdir(parents=True)
    port = processes.free_ports()
    binaries, passed_on = Path(sys.executable).parent, inherited()
    passed_on["PATH"] = f"{binaries}{os.pathsep}{passed_on.get('PATH', os.defpath)}"
    command: list[str | Path] = [binaries / "mlflow", "server", "--host", HOST, "--port", str(port), *options]
    pid = processes.start(name, command, {**passed_on, **_QUIET, **(env or {})}, folder)
    processes.await_ready(name, port, "/health")
    return Setup(name=name, url=f"http://{HOST}:{port}", store=store, processes=[pid], database=database)
