"""A TCP balancer in front of processes of this machine: one address, a target chosen for each connection.

As Azure's load balancer before nodes (Microsoft Learn, "Azure Load Balancer health probes"): it probes each target,
takes one out after two probes that failed, and leaves connections that are there alone. And as a cluster's address of a
service before its pods: a target is chosen at random among those that are listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.ports import free_port
from tests.support.waiting import until

FAILED_PROBES = 2
_PROBE_SECONDS = 0.2


@dataclass
class Target:
    """A process behind the balancer, and whether its node answers the probe."""

    port: int
    probe: Callable[[], bool] = lambda: True
    failed: int = 0
    probes: int = 0
    connections: int = 0

    @property
    def listed(self) -> bool:
        return self.failed < FAILED_PROBES


@dataclass
class Balancer:
    """Forwards bytes both ways, and closes a connection whose target refuses it, as a reset does."""

    targets: list[Target]
    port: int = field(default_factory=free_port)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    @contextlib.contextmanager
    def running(self) -> Iterator[Balancer]:
        """Serve until the end of the block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        tasks = asyncio.run_coroutine_threadsafe(self._start(), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_cancel(tasks), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def wait_for_probes(self, target: Target, count: int) -> None:
        """Wait until a target was probed so often again: the balancer's own clock."""
        before = target.probes
        until(lambda: target.probes >= before + count, f"{count} more probes", 60)

    async def _start(self) -> list[asyncio.Task[None]]:
        server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        return [asyncio.create_task(server.serve_forever()), asyncio.create_task(self._probe())]

    async def _probe(self) -> None:
        while True:
            for target in self.targets:
                answers = await asyncio.to_thread(target.probe)
                target.failed = 0 if answers else target.failed + 1
                target.probes += 1
            await asyncio.sleep(_PROBE_SECONDS)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listed = [target for target in self.targets if target.listed]
        target = self._random.choice(listed)
        target.connections += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target.port)
        except OSError:
            writer.transport.abort()
            return
        with contextlib.suppress(asyncio.CancelledError):  # the balancer ends: the streams' own callback would log it
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        for end in (back, writer):
            end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in {*tasks, *others}:
        task.cancel()
    await asyncio.gather(*tasks, *others, return_exceptions=True)
