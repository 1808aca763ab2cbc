"""The ports of a local stack: who listens where, counted from `local.portBase`. Nothing else decides on one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class LocalPort(enum.StrEnum):
    """Who listens. A service has its role's name."""

    GATEWAY = "gateway"
    POSTGRES = "postgres"
    BLOBS = "blobs"
    IDENTITY = "identity"
    VAULT = "vault"
    ENTRA = "entra"
    GATEWAY_METRICS = "gateway-metrics"
    DASHBOARD = "dashboard"
    REGISTRY = "registry"
    ARTIFACTS = "artifacts"
    TRACKING = "tracking"


OFFSETS: Mapping[LocalPort, range] = MappingProxyType(
    {
        LocalPort.GATEWAY: range(1),
        LocalPort.POSTGRES: range(1, 2),
        LocalPort.BLOBS: range(2, 3),
        LocalPort.IDENTITY: range(3, 4),
        LocalPort.VAULT: range(4, 5),
        LocalPort.GATEWAY_METRICS: range(5, 6),
        LocalPort.DASHBOARD: range(6, 9),
        LocalPort.ENTRA: range(9, 10),
        LocalPort.REGISTRY: range(10, 20),
        LocalPort.ARTIFACTS: range(20, 30),
        LocalPort.TRACKING: range(30, 60),
    }
)
"""The offsets of each from the port base. A service has one for each replica that it may have."""

COUNT = max(offsets.stop for offsets in OFFSETS.values())
"""How many ports from the base on belong to the stack."""


def port(base: int, who: LocalPort) -> int:
    """Return the first port of a listener."""
    return base + OFFSETS[who].start
