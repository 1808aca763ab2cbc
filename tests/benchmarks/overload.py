"""More requests than a replica can take, and what it does then.

`python -m tests.benchmarks.overload --seconds 60 --limits 32 128 512` starts a tracking service for each bound on
its own data plane, finds out what it can take, offers eight times that, and prints a row for each. The tests do the
same for a few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.runtime.service.test_service import new_run
from tests.support.plane import REPOSITORY
from tests.support.services import PUBLIC_HOST, Service, platform

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

TIMES = 8
CLIENTS = 16


@dataclass
class Outcome:
    """What became of the requests: how many got each status, how long those took that were carried out."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    with_retry_after: int = 0
    lost: int = 0

    def percentile(self, hundredth: int) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.seconds, n=100)[hundredth - 1] * 1000 if len(self.seconds) > 1 else 0.0


class Client:
    """Sends one small request over and over, on connections that are kept."""

    def __init__(self, service: Service) -> None:
        run_id, _ = new_run(service, f"overload-{time.monotonic_ns()}")
        body = f'{{"run_id": "{run_id}", "key": "m", "value": 1, "timestamp": 1, "step": 100000000}}'.encode()
        self._request = (
            b"POST /api/2.0/mlflow/runs/log-metric HTTP/1.1\r\nContent-Type: application/json\r\n"
            + f"Host: {PUBLIC_HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        self._port = service.port
        self._idle: list[Connection] = []

    async def one(self, outcome: Outcome) -> None:
        """Send the request, and note the answer; a connection without one is noted as lost."""
        begun = time.monotonic()
        try:
            connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = connection
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await self.body(reader, head)
        except (OSError, asyncio.IncompleteReadError):
            outcome.lost += 1
            return
        status = int(head.split(" ", 2)[1])
        outcome.statuses[status] += 1
        if status == 200:
            outcome.seconds.append(time.monotonic() - begun)
        elif "\r\nretry-after: " in head:
            outcome.with_retry_after += 1
        self._idle.append(connection)

    async def body(self, reader: asyncio.StreamReader, head: str) -> None:
        """Read what follows the headers, which are given in lower case."""
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))

    async def saturate(self, seconds: float, clients: int = CLIENTS) -> Outcome:
        """Each client sends its next request when it has the answer."""
        outcome, until = Outcome(), time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < until:
                await self.one(outcome)

        await asyncio.gather(*(client() for _ in range(clients)))
        return outcome

    async def offer(self, rate: float, seconds: float) -> Outcome:
        """`rate` requests a second, whether the earlier ones have been answered or not."""
        outcome, sent, begun = Outcome(), 0, time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        while (passed := time.monotonic() - begun) < seconds:
            for _ in range(int(passed * rate) - sent):
                task = asyncio.create_task(self.one(outcome))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*under_way)
        return outcome


def memory_mib(service: Service) -> float:
    """Resident memory of the process, which has to be the role itself: one that started cold."""
    pages = int(Path(f"/proc/{service.program.process.pid}/statm").read_text().split()[1])
    found = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert found > 100, f"{found:.0f} MiB have no room for MLflow: start {service.role} cold"
    return found


async def sampled(work: Awaitable[Outcome], sample: Callable[[], float]) -> tuple[Outcome, list[float]]:
    """The outcome of the work, and a sample each half second of it."""
    samples: list[float] = []
    task = asyncio.ensure_future(work)
    while not task.done():
        samples.append(await asyncio.to_thread(sample))
        await asyncio.wait({task}, timeout=0.5)
    return task.result(), samples


def _row(service: Service, limit: int, seconds: float) -> str:
    async def measure() -> str:
        client = Client(service)
        await client.saturate(2)
        before = await client.saturate(5)
        capacity = before.statuses[200] / 5
        rate = TIMES * capacity
        overload, memory = await sampled(client.offer(rate, seconds), lambda: memory_mib(service))
        after = [await client.saturate(1) for _ in range(5)]
        return (
            f"| {limit} | {capacity:.0f} | {before.percentile(95):.0f} | {rate:.0f} "
            f"| {dict(sorted(overload.statuses.items()))}, {overload.lost} lost, "
            f"{overload.with_retry_after} with Retry-After "
            f"| {overload.statuses[200] / seconds:.0f} | {overload.percentile(50):.0f}, "
            f"{overload.percentile(95):.0f} | {memory[0]:.0f} to {max(memory):.0f} "
            f"| {', '.join(str(one.statuses[200]) for one in after)}; others "
            f"{sum(one.statuses.total() - one.statuses[200] + one.lost for one in after)} |"
        )

    return asyncio.run(measure())


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--limits", type=int, nargs="+", default=[128])
    parser.add_argument("--pool", type=int, default=20)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="overload-"))
    install = [sys.executable, str(REPOSITORY / "tools" / "azurite" / "install.py")]
    azurite = Path(subprocess.run(install, capture_output=True, text=True, check=True).stdout.strip())
    print("| bound | takes/s | p95 ms | offered/s | answers | 200/s | p50, p95 ms of 200 | MiB | 200/s after |")
    print("|---|---|---|---|---|---|---|---|---|")
    try:
        with platform(folder, azurite) as made:
            for limit in arguments.limits:
                service = made.start(
                    "tracking",
                    MLFLOW_RUNTIME_MAX_IN_FLIGHT=str(limit),
                    MLFLOW_RUNTIME_DATABASE_POOL_SIZE=str(arguments.pool),
                )
                print(_row(service, limit, arguments.seconds), flush=True)
                service.program.kill()
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
