"""Programs of the engine that start warm: forked from one process that has imported Pulumi's libraries already.

The engine starts a Python for each preview, update and provider of dynamic resources, and one more to list what is
installed. To import the libraries takes longer than the program itself. `started` starts one process that imports them
(`server.py`), and puts a `sitecustomize` on PYTHONPATH (`site/`), by which those interpreters let it fork a child with
their arguments, folder, environment and files; a list of packages is kept until something is installed.

The product's own modules are not among the imported ones: each child reads them from its own checkout. Every other
Python starts as ever, and so does one of another environment, with other options, or with `COLD`. All children of a
run share one PYTHONHASHSEED, by which sets are ordered.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "WARM_PROGRAMS"
"""The server's socket; a program without it starts cold."""

COLD: Final[dict[str, str]] = {VARIABLE: ""}
"""In the environment of an engine: its programs start as a user's do, such as those that are to be killed with it."""

SITE: Final = Path(__file__).resolve().parent / "site"

# From its own folder: a child has no file of this package in its path.
_SERVE: Final = "import server; server.main()"


@contextmanager
def started() -> Iterator[None]:
    """Start programs warm within this process's environment, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        socket = f"{folder}/socket"
        server = subprocess.Popen(
            [sys.executable, "-u", "-c", _SERVE, socket],
            cwd=SITE.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert server.stdout is not None
        assert server.stdout.readline(), "the server of warm programs ended"  # it listens
        before = {name: os.environ.get(name) for name in (VARIABLE, "PYTHONPATH")}
        os.environ[VARIABLE] = socket
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SITE), before["PYTHONPATH"]]))
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
            # The server ends when nothing holds the other end of its input, also if this process is killed.
            server.communicate()
