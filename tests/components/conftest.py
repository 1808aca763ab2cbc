"""Time that passes only by sleeping, and a client of the server that a test file defines as its fixture `azure`."""

from __future__ import annotations

import pytest

from components.azure.arm import Arm
from tests.support.arm_server import ArmServer, Clock, client_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(azure: ArmServer, clock: Clock) -> Arm:
    return client_of(azure, clock)
