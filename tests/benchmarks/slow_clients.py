"""The smoke program beside clients that take and send artifacts slowly.

`python -m tests.benchmarks.slow_clients` brings a stack of its own up, runs the smoke program alone, then beside slow
readers of one artifact of 40 MiB and slow writers, all through the gateway, and prints the seconds of each step. Exit
code 1 if the smoke program fails.

A reader is fast until the buffers between it and the service are full: several MiB, of the gateway's system. The smoke
program starts after that, and the seconds until then are printed too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery.local.configuration import REPOSITORY
from tests.support.command_line import mlflow_platform
from tests.support.local_stack import RunningStack
from tests.support.slow_clients import connection, trickling, unsent

_MIB = 1 << 20
_LARGE = "/api/2.0/mlflow-artifacts/artifacts/slow/large.bin"
_BEGIN_SECONDS = 0.02
_SETTLED_SECONDS = 10
_SETTLE_SECONDS = 300


@contextlib.contextmanager
def slow_clients(url: str, readers: int, writers: int) -> Iterator[None]:
    """Open the transfers one after the other, since one that has not begun counts as in flight, and hold them."""
    host, port = str(urlsplit(url).netloc), int(urlsplit(url).port or 0)
    head = f" HTTP/1.1\r\nHost: {host}\r\nContent-Length: "
    requests = [f"GET {_LARGE}{head}0\r\n\r\n"] * readers
    requests += [f"PUT {_LARGE}.{number}{head}{40 * _MIB}\r\n\r\n" for number in range(writers)]
    with contextlib.ExitStack() as opened:
        connections = []
        for request in requests:
            connections.append(opened.enter_context(connection(port, request)))
            time.sleep(_BEGIN_SECONDS)
        with trickling(connections[:readers], connections[readers:]):
            print(f"{settled(port):.0f} s until the buffers were full")
            yield


def settled(port: int) -> float:
    """Wait until what is held for the clients at a port grows no more, and return the seconds that it took."""
    begun, held = time.monotonic(), -1
    while (now := sum(unsent(port))) > held + _MIB:
        if time.monotonic() - begun > _SETTLE_SECONDS:
            raise TimeoutError(f"{now // _MIB} MiB are held after {_SETTLE_SECONDS} s, and it still grows")
        held = now
        time.sleep(_SETTLED_SECONDS)
    return time.monotonic() - begun


def smoke(url: str) -> dict[str, Any]:
    """Return the report of the smoke program."""
    command = mlflow_platform("smoke", url, "--json")
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    if not found["passed"]:
        print(done.stdout + done.stderr, file=sys.stderr)
    return found


def table(alone: Mapping[str, Any], beside: Mapping[str, Any], clients: str) -> Iterator[str]:
    """Yield a row for each step and one for all of them: the seconds without the clients and with them."""
    yield f"| step | alone, s | beside {clients}, s |"
    yield "|---|---|---|"
    for one, other in zip(alone["steps"], beside["steps"], strict=True):
        yield f"| {one['name']} | {one['seconds']:.2f} | {other['seconds']:.2f} ({other['state']}) |"
    yield f"| all | {alone['seconds']:.1f} | {beside['seconds']:.1f} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.slow_clients", description=__doc__)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--writers", type=int, default=50)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slow-clients-"))
    stack = RunningStack.configured(folder)
    try:
        stack.up()
        assert stack.ask(_LARGE, method="PUT", data=bytes(40 * _MIB), timeout=120).status == 200
        alone = smoke(stack.url)
        with slow_clients(stack.url, arguments.readers, arguments.writers):
            beside = smoke(stack.url)
        for line in table(alone, beside, f"{arguments.readers} readers and {arguments.writers} writers"):
            print(line)
    finally:
        stack.run("destroy", "--yes")
        shutil.rmtree(folder)
    return 0 if alone["passed"] and beside["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
