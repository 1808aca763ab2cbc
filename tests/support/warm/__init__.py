"""Programs that start warm: forked from a process that has imported their libraries already.

The engine starts a Python for each preview, update and provider of dynamic resources, and one more to list what is
installed; tests start roles of the runtime and the smoke program. To import the libraries takes longer than the program
itself. `started` starts three processes (`server.py`), one for each kind of program, and puts a `sitecustomize` on
PYTHONPATH (`site/`), by which those interpreters let one of them fork a child with their arguments, folder, environment
and files; a list of packages is kept until something is installed.

Of the product's own modules those of the Pulumi program are among the imported ones, for children whose folder is this
checkout; in another folder a child reads all of them itself. No module is among them that reads a variable of a role
while it is imported. Every other Python starts as ever, and so does one of another environment, with other options, or
with `COLD`. All children of a run share one PYTHONHASHSEED, by which sets are ordered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from delivery.smoke.environment import client_environment

VARIABLE: Final = "WARM_PROGRAMS"
"""The folder of the servers' sockets; a program without it starts cold."""

COLD: Final[dict[str, str]] = {VARIABLE: ""}
"""In the environment of an engine or a role: it starts as a user's does. For what a test kills, pauses or measures."""

SITE: Final = Path(__file__).resolve().parent / "site"

READ_BY_MLFLOW: Final[Mapping[str, str]] = {
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
"""What MLflow reads when it is imported, and each role sets to the same before."""

ONE_THREAD: Final[Mapping[str, str]] = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Has NumPy and PyArrow start no thread when they are imported, since a process with threads must not fork."""

# From its own folder: a child has no file of this package in its path.
_SERVE: Final = "import server; server.main()"


@contextmanager
def started() -> Iterator[None]:
    """Start programs warm within this process's environment, until the block ends.

    They start cold where a server cannot: without `pidfd_open`, or in a folder too long for a socket's address.
    """
    with tempfile.TemporaryDirectory(prefix="warm-") as folder, ExitStack() as servers:
        environments = {"engine": os.environ, "roles": of_the_roles(), "smoke": of_the_smoke_program()}
        listening = [servers.enter_context(_serving(name, folder, each)) for name, each in environments.items()]
        if not all(listening):
            yield
            return
        before = {name: os.environ.get(name) for name in (VARIABLE, "PYTHONPATH")}
        os.environ[VARIABLE] = folder
        os.environ["PYTHONPATH"] = _path(before["PYTHONPATH"])
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def role(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a role, which starts warm where this run's programs do and it is not `COLD`."""
    folder = os.environ.get(VARIABLE, "")
    if not folder or VARIABLE in environment:
        return dict(environment)
    return {**environment, VARIABLE: folder, "PYTHONPATH": _path(environment.get("PYTHONPATH"))}


def of_the_roles() -> dict[str, str]:
    """Return the environment of the server of roles: nothing of this run's, as a role has nothing of it."""
    return {"PATH": os.environ["PATH"], **READ_BY_MLFLOW, **ONE_THREAD}


def of_the_smoke_program() -> dict[str, str]:
    """Return the environment of its server: what the program makes of this run's before it imports MLflow."""
    return {**client_environment(os.environ, request_seconds=1, ca_bundle=None), **ONE_THREAD}


def _path(others: str | None) -> str:
    return os.pathsep.join(filter(None, [str(SITE), others]))


@contextmanager
def _serving(name: str, folder: str, environment: Mapping[str, str]) -> Iterator[bool]:
    """Start a server, and tell whether it listens."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", _SERVE, name, f"{folder}/{name}"],
        cwd=SITE.parent,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None
    try:
        yield bool(server.stdout.readline())
    finally:
        # The server ends when nothing holds the other end of its input, also if this process is killed.
        server.communicate()
