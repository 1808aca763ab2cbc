"""The smoke program beside clients that take and send artifacts slowly.

`python -m tests.benchmarks.slow_clients` brings a stack of its own up, runs the smoke program alone, then beside slow
readers of one artifact of 40 MiB and slow writers, all through the gateway, and prints the seconds of both runs. Exit
code 1 if the smoke program fails.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from delivery.local.configuration import REPOSITORY
from tests.support.command_line import mlflow_platform
from tests.support.local_stack import RunningStack

_MIB = 1 << 20
_LARGE = "/api/2.0/mlflow-artifacts/artifacts/slow/large.bin"


@contextlib.contextmanager
def slow_clients(url: str, readers: int, writers: int) -> Iterator[None]:
    """Each takes or sends a KiB a second, somewhat more than the least that the gateway lets go on."""
    host = str(urlsplit(url).netloc)
    over = threading.Event()
    head = f" HTTP/1.1\r\nHost: {host}\r\nContent-Length: "
    with contextlib.ExitStack() as opened:

        def connection(request: str) -> socket.socket:
            made = opened.enter_context(socket.socket())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            made.connect((urlsplit(url).hostname, urlsplit(url).port))
            made.sendall(request.encode())
            made.setblocking(False)
            time.sleep(0.02)
            return made

        taking = [connection(f"GET {_LARGE}{head}0\r\n\r\n") for _ in range(readers)]
        sending = [connection(f"PUT {_LARGE}.{number}{head}{40 * _MIB}\r\n\r\n") for number in range(writers)]

        def trickle() -> None:
            while not over.wait(0.5):
                for each in taking:
                    with contextlib.suppress(BlockingIOError):
                        each.recv(1024)
                for each in sending:
                    with contextlib.suppress(BlockingIOError):
                        each.send(bytes(1024))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def smoke(url: str) -> tuple[int, float]:
    """Exit code and seconds of the smoke program."""
    begun = time.monotonic()
    done = subprocess.run(mlflow_platform("smoke", url), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode, time.monotonic() - begun


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
        alone, alone_seconds = smoke(stack.url)
        with slow_clients(stack.url, arguments.readers, arguments.writers):
            beside, beside_seconds = smoke(stack.url)
        print("| clients | exit code | seconds |\n|---|---|---|")
        print(f"| none | {alone} | {alone_seconds:.1f} |")
        print(f"| {arguments.readers} readers, {arguments.writers} writers | {beside} | {beside_seconds:.1f} |")
    finally:
        stack.run("destroy", "--yes")
        shutil.rmtree(folder)
    return 1 if alone or beside else 0


if __name__ == "__main__":
    sys.exit(main())
