"""What each setting of the servers is worth: ours and another in turn, in one run.

`python -m tests.benchmarks.choices` starts a tracking service and a gateway for each of both sides of a choice on
one data plane, loads one side after the other for several rounds, in changing order, and prints a row: the medians, and
the least and the largest ratio of a round. Rows compare, not runs: the load client, the services and the database share
the machine's cores. What the row `nothing` shows is noise.

One setting needs a package that is not installed: put it into a folder of its own with `pip install --target FOLDER
uvloop`, and give it with `--trial FOLDER`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.overload import Client, Outcome
from tests.support.plane import REPOSITORY
from tests.support.services import PUBLIC_HOST, Platform, Service, eventually, gateway, platform

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One way to run a tracking service and the gateway before it: the size of its pools, code that its Python runs
    first, a module that it finds among the packages on trial, a change of the gateway's configuration, and how many of
    the pool are the hot path's."""

    name: str
    pool: str = "20"
    hot: str = "8"
    first: str = ""
    trial: str | None = None
    change: Callable[[Json], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting, as it is and as it might be. It is looked at with small writes, or with large answers."""

    what: str
    ours: Side
    other: Side
    large_answers: bool = False


class Logging(Client):
    """Logs a metric that is a step on each time."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._step = 0
        self._repeated = self._request

    async def one(self, outcome: Outcome) -> None:
        """As of every client, with the next step, of as many digits as the first."""
        self._step += 1
        self._request = self._repeated.replace(b'"step": 100000000', b'"step": %d' % (100000000 + self._step))
        await super().one(outcome)


class Search(Client):
    """Asks for all runs of an experiment over and over, as a browser does: it takes compressed answers."""

    runs: Final = 50
    metrics: Final = 20

    answer_bytes = 0

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        name = f"choices-{time.monotonic_ns()}"
        made = service.ask("/api/2.0/mlflow/experiments/create", {"name": name})
        experiment_id = made.body["experiment_id"]
        for _ in range(self.runs):
            run = {"experiment_id": experiment_id, "start_time": 1}
            run_id = service.ask("/api/2.0/mlflow/runs/create", run).body["run"]["info"]["run_id"]
            logged = [{"key": f"metric-{n}", "value": n / 7, "timestamp": 1, "step": 1} for n in range(self.metrics)]
            assert service.ask("/api/2.0/mlflow/runs/log-batch", {"run_id": run_id, "metrics": logged}).status == 200
        body = json.dumps({"experiment_ids": [experiment_id], "max_results": self.runs}).encode()
        self._request = (
            b"POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n"
            + f"Host: {PUBLIC_HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def body(self, reader: asyncio.StreamReader, head: str) -> None:
        """A compressed answer comes in chunks."""
        if "content-length: " in head:
            await super().body(reader, head)
            self.answer_bytes = int(head.split("content-length: ")[1].split("\r\n")[0])
            return
        total = 0
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            total += size
        await reader.readline()
        self.answer_bytes = total


def _proxies(config: Any) -> Iterator[Json]:
    """Every reverse proxy of a gateway's configuration."""
    if isinstance(config, dict):
        if config.get("handler") == "reverse_proxy":
            yield config
        for value in config.values():
            yield from _proxies(value)
    elif isinstance(config, list):
        for value in config:
            yield from _proxies(value)


def _in_each_proxy(**values: Any) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        for proxy in _proxies(config):
            proxy.update(values)

    return change


def _no_kept_connections(config: Json) -> None:
    for proxy in _proxies(config):
        proxy["transport"]["keep_alive"] = {"enabled": False}


_NO_PING = (
    "import sqlalchemy; made = sqlalchemy.create_engine; "
    "sqlalchemy.create_engine = lambda url, **given: made(url, **{**given, 'pool_pre_ping': False})"
)
_BUFFERED = {"request_buffers": 1 << 20, "response_buffers": 1 << 20}


def _plain(config: Any) -> None:
    """No answer is compressed."""
    if isinstance(config, dict):
        for value in config.values():
            _plain(value)
    elif isinstance(config, list):
        config[:] = [item for item in config if not (isinstance(item, dict) and item.get("handler") == "encode")]
        for item in config:
            _plain(item)


CHOICES = (
    Choice(what="nothing", ours=Side(name="the same"), other=Side(name="the same")),
    Choice(what="hot path", ours=Side(name="8 connections"), other=Side(name="off", hot="0")),
    Choice(what="event loop", ours=Side(name="asyncio"), other=Side(name="uvloop", trial="uvloop")),
    Choice(what="database pool", ours=Side(name="20"), other=Side(name="4", pool="4")),
    Choice(what="ping before use", ours=Side(name="on"), other=Side(name="off", first=_NO_PING)),
    Choice(
        what="kept connections to services",
        ours=Side(name="64 a replica"),
        other=Side(name="none", change=_no_kept_connections),
    ),
    Choice(
        what="gateway's buffers",
        ours=Side(name="none"),
        other=Side(name="1 MiB each way", change=_in_each_proxy(**_BUFFERED)),
    ),
    Choice(
        what="compression, of large answers",
        ours=Side(name="zstd or gzip"),
        other=Side(name="none", change=_plain),
        large_answers=True,
    ),
)


@contextlib.contextmanager
def started(made: Platform, side: Side, folder: Path, client: type[Client], trial: Path | None) -> Iterator[Client]:
    """A tracking service and a gateway before it, and a client of theirs."""
    python = folder / "first"
    python.mkdir(parents=True)
    (python / "sitecustomize.py").write_text(side.first)
    if side.trial is not None:
        assert trial is not None
        (python / side.trial).symlink_to((trial / side.trial).resolve(strict=True))
    path = f"{python}{os.pathsep}{made.environment('tracking')['PYTHONPATH']}"
    service = made.start(
        "tracking",
        PYTHONPATH=path,
        MLFLOW_RUNTIME_DATABASE_POOL_SIZE=side.pool,
        MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS=side.hot,
    )
    address = f"127.0.0.1:{service.port}"
    try:
        with gateway(folder, address, side.change) as port:
            through = Service("gateway", port, service.program)
            eventually(lambda: through.ask("/version").status == 200, "the gateway answers")
            yield client(through)
    finally:
        service.program.kill()


def compare(
    made: Platform, choice: Choice, folder: Path, *, trial: Path | None, clients: int, seconds: float, rounds: int
) -> str:
    """Load both sides in turn: a row with the median of the rounds, requests/s and the 50th and 95th percentile."""

    async def both(sides: list[Client]) -> list[list[Outcome]]:
        """The outcomes of each side."""
        outcomes: list[list[Outcome]] = [[], []]
        for client in sides:
            await client.saturate(2, clients)
        for number in range(rounds):
            for side in (0, 1) if number % 2 else (1, 0):
                outcomes[side].append(await sides[side].saturate(seconds, clients))
        return outcomes

    client = Search if choice.large_answers else Logging
    with (
        started(made, choice.ours, folder / "ours", client, trial) as ours,
        started(made, choice.other, folder / "other", client, trial) as other,
    ):
        results = asyncio.run(both([ours, other]))
        sizes = [f", {side.answer_bytes / 1000:.0f} kB" if isinstance(side, Search) else "" for side in (ours, other)]
    rates, figures = [], []
    for outcomes, size in zip(results, sizes, strict=True):
        assert all(set(outcome.statuses) == {200} and not outcome.lost for outcome in outcomes), outcomes
        rates.append([outcome.statuses[200] / seconds for outcome in outcomes])
        p50, p95 = (statistics.median(outcome.percentile(of) for outcome in outcomes) for of in (50, 95))
        figures.append(f"{statistics.median(rates[-1]):.0f}, {p50:.1f}, {p95:.1f}{size}")
    ratios = sorted(mine / theirs for mine, theirs in zip(*rates, strict=True))
    return (
        f"| {choice.what} | {choice.ours.name} | {figures[0]} | {choice.other.name} | {figures[1]} "
        f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
    )


def main() -> int:
    """Print the table."""
    names = {choice.what: choice for choice in CHOICES}
    on_trial = {choice.what for choice in CHOICES if choice.ours.trial or choice.other.trial}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.choices", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(names), metavar="SETTING")
    parser.add_argument("--trial", type=Path, metavar="FOLDER", help="packages for " + ", ".join(sorted(on_trial)))
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each side (default: %(default)s)")
    arguments = parser.parse_args()
    wanted = arguments.only or [name for name in names if arguments.trial or name not in on_trial]
    if arguments.trial is None and on_trial.intersection(wanted):
        parser.error(f"{', '.join(sorted(on_trial.intersection(wanted)))}: needs --trial FOLDER")
    folder = Path(tempfile.mkdtemp(prefix="choices-"))
    install = [sys.executable, str(REPOSITORY / "tools" / "azurite" / "install.py")]
    azurite = Path(subprocess.run(install, capture_output=True, text=True, check=True).stdout.strip())
    print(
        "| setting | ours | requests/s, p50, p95 ms | other | requests/s, p50, p95 ms | ours / other |\n"
        "|---|---|---|---|---|---|"
    )
    try:
        with platform(folder, azurite) as made:
            for number, name in enumerate(wanted):
                row = compare(
                    made,
                    names[name],
                    folder / str(number),
                    trial=arguments.trial,
                    clients=arguments.clients,
                    seconds=arguments.seconds,
                    rounds=arguments.rounds,
                )
                print(row, flush=True)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
