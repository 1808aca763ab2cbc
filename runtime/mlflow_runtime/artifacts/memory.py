"""How much of artifacts may be in this process at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio
from anyio import to_thread
from prometheus_client import Gauge

from mlflow_runtime.metrics import REGISTRY

MIB: Final = 1 << 20
UPLOAD_BLOCK: Final = 4 * MIB
DOWNLOAD_BLOCK: Final = 2 * MIB

# What a replica takes without artifacts: 190 MiB when idle, and what grows with connections and threads.
RESERVED_MIB: Final = 256
LEAST_MIB: Final = 512

_in_use = Gauge("mlflow_artifact_blocks", "Blocks of artifacts that are in memory.", ("direction",), registry=REGISTRY)
_limit = Gauge(
    "mlflow_artifact_blocks_limit", "Blocks of artifacts that may be in memory.", ("direction",), registry=REGISTRY
)

R = TypeVar("R")


class Blocks:
    """A number of blocks for one direction. Who wants another waits, in turn; nobody holds one while waiting for one.

    `most` is the largest number that was ever in use.
    """

    def __init__(self, direction: str, limit: int) -> None:
        self.limit = limit
        self.most = 0
        self._free = asyncio.Semaphore(limit)
        self._used = 0
        self._threads = anyio.CapacityLimiter(limit)
        self._gauge = _in_use.labels(direction)
        _limit.labels(direction).set(limit)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A block of memory."""
        async with self._free:
            self._count(1)
            try:
                yield
            finally:
                self._count(-1)

    async def run(self, work: Callable[[], R]) -> R:
        """Call the blob store in a thread, of which there are as many as blocks."""
        return await to_thread.run_sync(work, limiter=self._threads)

    def _count(self, change: int) -> None:
        self._used += change
        self.most = max(self.most, self._used)
        self._gauge.set(self._used)


@dataclass(frozen=True)
class Memory:
    """What there is for each direction, so that neither keeps the other waiting."""

    uploads: Blocks
    downloads: Blocks

    @classmethod
    def of(cls, mib: int) -> Memory:
        """For a replica with `mib` MiB, at least LEAST_MIB; ValueError for less.

        Half of what is not reserved, because a block is there twice for a moment, as its pieces and whole.
        """
        if mib < LEAST_MIB:
            raise ValueError(f"{mib} MiB is too little to pass artifacts on; allowed: at least {LEAST_MIB}.")
        each = (mib - RESERVED_MIB) * MIB // 4
        return cls(Blocks("up", each // UPLOAD_BLOCK), Blocks("down", each // DOWNLOAD_BLOCK))
