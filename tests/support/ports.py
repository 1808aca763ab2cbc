"""Free TCP ports on 127.0.0.1, apart for each worker of a run."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

# Below the range that the system hands out itself.
LOWEST: Final = 10_000
HIGHEST: Final = 30_000
_ATTEMPTS: Final = 200


def free_port() -> int:
    """Return one port that is free now."""
    return first_of_free_ports(1)


def first_of_free_ports(count: int) -> int:
    """Return the first of `count` consecutive ports that are free now.

    Two workers of pytest-xdist never get the same port: each has its own part of the range.
    """
    lowest, highest = _range()
    for _ in range(_ATTEMPTS):
        base = random.randrange(lowest, highest - count)
        if all(_free(port) for port in range(base, base + count)):
            return base
    raise RuntimeError(f"ports: got no {count} consecutive free ports on 127.0.0.1 from {lowest} to {highest}")


def refuses(port: int) -> bool:
    """Whether nobody listens on a port.

    A connection that waits to be taken when the listener closes is reset rather than refused.
    """
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def _range() -> tuple[int, int]:
    """Return the bounds of this worker's part of the range, the upper one excluded."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    width = (HIGHEST - LOWEST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    # A worker that replaces one that crashed has a number beyond the count.
    lowest = LOWEST + width * (worker % ((HIGHEST - LOWEST) // width))
    return lowest, lowest + width


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
