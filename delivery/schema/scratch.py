"""A PostgreSQL that is thrown away: the server of the local stack, in a folder of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from components.emulators.postgres import LOOPBACK, is_ready

_REPOSITORY = Path(__file__).resolve().parents[2]
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


@contextmanager
def empty_database() -> Iterator[URL]:
    """Start a server, yield the URL of its empty database `postgres` for its superuser, and remove both at the end.

    Raise RuntimeError with the server's output if it does not start within two minutes.
    """
    # The folder of the socket needs a short path, which a temporary folder has.
    with tempfile.TemporaryDirectory(prefix="schema-") as name:
        folder, port = Path(name), _free_port()
        sockets, log = folder / "sockets", folder / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                _command(folder, sockets, port), cwd=_REPOSITORY, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait(server, port, log)
            yield URL.create(
                "postgresql+psycopg2",
                username="postgres",
                database="postgres",
                query={"host": str(sockets), "port": str(port)},
            )
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_STOP_SECONDS)


def _command(folder: Path, sockets: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "components.emulators.postgres"),
        *("--state", str(folder / "state"), "--sockets", str(sockets), "--port", str(port)),
        *("--administrator", f"administrator:{uuid.UUID(int=0)}"),
    ]


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_ready(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
