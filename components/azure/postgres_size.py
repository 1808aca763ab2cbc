"""What follows from a PostgreSQL server's compute size. Pure."""

from __future__ import annotations

import re

RESERVED_CONNECTIONS = 15
"""Connections that the service keeps for itself, out of `max_connections`."""

_MOST = 5000
_BY_MEMORY_GIB = ((2, 50), (4, 429), (8, 859), (16, 1718), (32, 3437))
_BURSTABLE_GIB = {"B1ms": 2, "B2s": 4, "B2ms": 8, "B4ms": 16, "B8ms": 32, "B12ms": 48, "B16ms": 64, "B20ms": 80}
_GIB_PER_CORE = {"D": 4, "E": 8}
SKU = re.compile(r"Standard_(?P<size>(?P<family>[BDE])(?P<cores>[0-9]+)[a-z]*)(_v[0-9]+)?")
"""The whole of a compute size's name, of the burstable, general purpose and memory optimized families."""


def max_connections(sku: str) -> int:
    """How many connections a server of this size takes, the reserved ones among them.

    Azure sets it by the size's memory; a parameter could raise it, at the cost of the memory for queries, and is not
    used here. Raises ValueError for a size that is not known. Source: Microsoft Learn, "Limits in Azure Database for
    PostgreSQL flexible server" (maximum connections).
    """
    found = SKU.fullmatch(sku)
    memory = None
    if found is not None:
        memory = _BURSTABLE_GIB.get(found["size"])
        if found["family"] in _GIB_PER_CORE:
            memory = _GIB_PER_CORE[found["family"]] * int(found["cores"])
    if memory is None:
        raise ValueError(
            f"sku: {sku!r} is no size whose connections are known; allowed: Standard_B1ms to B20ms, and sizes of the "
            "families D and E as in Standard_D2ds_v5. Choose one."
        )
    return next((most for gib, most in _BY_MEMORY_GIB if memory <= gib), _MOST)
