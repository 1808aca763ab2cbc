"""How much of artifacts may be in this process at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio
from anyio import to_thread
from prometheus_client import Gauge

from mlflow_runtime.metrics import REGISTRY
from mlflow_runtime.responses import Failure

MIB: Final = 1 << 20
UPLOAD_BLOCK: Final = 4 * MIB
DOWNLOAD_BLOCK: Final = 2 * MIB
# A download begins with less, so that no more is read for a client that then takes nothing. Most artifacts end with it:
# each request to the store takes milliseconds of a processor, however little it reads.
FIRST_BLOCK: Final = MIB

# What a replica takes without artifacts: 190 MiB when idle, and what grows with connections and threads.
RESERVED_MIB: Final = 256
LEAST_MIB: Final = 512

# How long a client that neither sends nor takes may hold a block while none waits for one, and while some do.
HOLD_SECONDS: Final = 10
TAKE_SECONDS: Final = 1

# A transfer that waits for its client holds no block, but a piece of one at most, and the buffers of its connection.
PIECE: Final = 1 << 16
TRANSFERS_A_BLOCK: Final = 8

_in_use = Gauge("mlflow_artifact_blocks", "Blocks of artifacts that are in memory.", ("direction",), registry=REGISTRY)
_limit = Gauge(
    "mlflow_artifact_blocks_limit", "Blocks of artifacts that may be in memory.", ("direction",), registry=REGISTRY
)

_transfers = Gauge("mlflow_artifact_transfers", "Artifacts on their way.", ("direction",), registry=REGISTRY)

R = TypeVar("R")


class Lent:
    """A block of memory, with what it holds, until it is given back."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self.content = b""
        self._give_back: Callable[[], None] | None = give_back

    def free(self) -> None:
        """Give the block back and forget the content. The second time does nothing."""
        self.content = b""
        if give_back := self._give_back:
            self._give_back = None
            give_back()


class Blocks:
    """A number of blocks for one direction. Who wants another waits, in turn; nobody holds one while waiting for one.

    `most` is the largest number that was ever in use.
    """

    def __init__(self, direction: str, limit: int) -> None:
        self.limit = limit
        self.most = 0
        self._free = asyncio.Semaphore(limit)
        self._used = 0
        self._waiting = 0
        self._threads = anyio.CapacityLimiter(limit)
        self._direction = direction
        self._transfers = 0
        self._gauge = _in_use.labels(direction)
        _limit.labels(direction).set(limit)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a block."""
        return self._waiting > 0

    def refusal(self) -> Failure | None:
        """The answer to one more transfer if there are as many as there is memory for, or None."""
        most = self.limit * TRANSFERS_A_BLOCK
        if self._transfers < most:
            return None
        return Failure(
            status=503,
            code="TEMPORARILY_UNAVAILABLE",
            message=f"This service has {most} artifacts on their way {self._direction}, as many as it has memory for; "
            "send the request again after a pause.",
        )

    @contextlib.contextmanager
    def transfer(self) -> Iterator[None]:
        """Count a transfer for as long as it lasts."""
        self._count_transfers(1)
        try:
            yield
        finally:
            self._count_transfers(-1)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Lent]:
        """A block of memory, that whoever has it may free before the end."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._count(1)
        lent = Lent(self._give_back)
        try:
            yield lent
        finally:
            lent.free()

    @contextlib.contextmanager
    def kept_until_wanted(self, lent: Lent) -> Iterator[None]:
        """Free the block once it was held for TAKE_SECONDS and others wait for one."""
        loop = asyncio.get_running_loop()

        timer: asyncio.TimerHandle

        def wait() -> None:
            nonlocal timer
            timer = loop.call_later(TAKE_SECONDS, look)

        def look() -> None:
            if self.wanted:
                lent.free()
            else:
                wait()

        wait()
        try:
            yield
        finally:
            timer.cancel()

    async def run(self, work: Callable[[], R]) -> R:
        """Call the blob store in a thread, of which there are as many as blocks."""
        return await to_thread.run_sync(work, limiter=self._threads)

    def _give_back(self) -> None:
        self._count(-1)
        self._free.release()

    def _count(self, change: int) -> None:
        self._used += change
        self.most = max(self.most, self._used)
        self._gauge.set(self._used)

    def _count_transfers(self, change: int) -> None:
        self._transfers += change
        _transfers.labels(self._direction).set(self._transfers)


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
