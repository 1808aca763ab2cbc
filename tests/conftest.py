"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import pytest


@pytest.fixture
def free_ports() -> Callable[[int], int]:
    """Gives the first of N consecutive ports that nobody listens on."""
    return first_of_free_ports


def first_of_free_ports(count: int) -> int:
    """The first of `count` consecutive ports that are free now, below the range that the system hands out itself."""
    for _ in range(200):
        base = random.randrange(10_000, 30_000 - count)
        if all(_free(port) for port in range(base, base + count)):
            return base
    raise RuntimeError(f"no {count} consecutive free ports on 127.0.0.1")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
