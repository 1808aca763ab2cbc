"""A soak: a stack under load for long, while its replicas are killed in turns and looked at."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from components.compute.local.processes import answers
from components.compute.local.supervisor import Supervisor
from delivery.bench import load, machine, ours, processes, soak, store, values
from delivery.bench.clock import Clock
from delivery.bench.load import Job
from delivery.bench.measure import Tool, kinds
from delivery.bench.ours import Platform, Replica
from delivery.bench.running import load_tool, temporary_folder
from delivery.bench.setup import Setup
from delivery.bench.soak import Kill, Sample, Soak
from delivery.pulumi.installation import REPOSITORY

REPLICAS: Final = 3
CLIENTS: Final = 16
TIMEOUT: Final = 30.0

_UP_SECONDS: Final = 300.0
_CAPACITY_SECONDS: Final = 10.0
_WARM_SECONDS: Final = 2.0
_KILL_EVERY: Final = 45.0
_SAMPLE_EVERY: Final = 5.0
_POLL_SECONDS: Final = 0.2
_INTERVAL: Final = 5.0
_SERVED: Final = ("gateway", "tracking", "registry", "artifacts", "postgres")

_CONNECTIONS: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = ? AND usename <> 'postgres'"


@dataclass
class Watched:
    """What is seen of a stack from the beginning of the load on."""

    up: Platform
    clock: Clock = field(default_factory=lambda: Clock(limit=math.inf))
    kills: list[Kill] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Take a sample. A process that is being replaced has no memory in it."""
        pids = Supervisor(self.up.layout).pids()
        memory = {
            name: processes.use([pid]).memory_mib for name, pid in sorted(pids.items()) if name.startswith(_SERVED)
        }
        ((connections,),) = self.up.postgres.read(_CONNECTIONS, self.up.postgres.database)
        self.samples.append(Sample(at=self.clock.passed, memory=memory, connections=connections))

    def kill(self, replica: Replica, stopped: threading.Event) -> None:
        """Kill a replica without grace, and wait until another process in its place is ready."""
        supervisor, name, at = Supervisor(self.up.layout), replica.name, self.clock.passed
        old, began = supervisor.pids().get(name), Clock(limit=soak.RESTART_SECONDS)
        supervisor.kill_process(name)
        while supervisor.pids().get(name, old) == old or not answers(replica.port, "/ready", timeout=5):
            if stopped.wait(_POLL_SECONDS):
                return
            if not began.allows(0):
                self.kills.append(Kill(at=at, replica=name, seconds=math.nan))
                return
        self.kills.append(Kill(at=at, replica=name, seconds=began.passed))


def run(minutes: float, say: Callable[[str], None]) -> Soak:
    """Soak a stack of its own. Whatever happens, no process and no file of it is left. Raises CommandError."""
    tool = load_tool(TIMEOUT)
    facts = machine.facts(tool.package, REPOSITORY)
    with temporary_folder() as folder, processes.running(folder / "logs") as started:
        say(f"A local stack; its tracking has {REPLICAS} replicas")
        with ours.stack(folder, started, replicas=REPLICAS, seconds=_UP_SECONDS) as up:
            return _soaked(up, tool, facts, minutes * 60, say)


def _soaked(up: Platform, tool: Tool, facts: Mapping[str, str], seconds: float, say: Callable[[str], None]) -> Soak:
    setup = Setup(name="soak", url=f"http://{up.host}", store=up.postgres, processes=[], database=up.postgres_pid)
    job = _job(setup, tool)
    before = load.run(tool.package, tool.node, replace(job, seconds=_CAPACITY_SECONDS))
    carried = before.accepted / before.seconds
    asked = carried * soak.SHARE
    say(f"It carries {carried:,.0f} requests/s: {asked:,.0f} for {seconds / 60:g} minutes, and kills")
    job = replace(_job(setup, tool), seconds=seconds, rate=asked, sample=1, interval=_INTERVAL)
    watched = Watched(up)
    works = (lambda stopped: _look(watched, stopped), lambda stopped: _kill(watched, stopped, seconds, say))
    with _beside(*works) as unwatched:
        noted = load.run(tool.package, tool.node, job)
    say("Reading everything back")
    acknowledged = noted.acknowledged
    back = store.compare(acknowledged, store.stored(setup.store, job.values["experiment"]))
    found = values.remembered(setup.store, list(acknowledged.values))
    compared, differences = values.compared(acknowledged.values, found)
    return Soak(
        facts=facts,
        seconds=noted.seconds,
        replicas=REPLICAS,
        spared=up.own(1)[0].name,
        carried=carried,
        asked=asked,
        accepted=noted.accepted,
        kinds=kinds(noted),
        failed=noted.failed,
        back=back,
        values=compared,
        differences=differences,
        kills=watched.kills,
        samples=watched.samples,
        unwatched=unwatched,
        interval=_INTERVAL,
        intervals=noted.intervals,
    )


def _job(setup: Setup, tool: Tool) -> Job:
    return Job(
        url=setup.url,
        scenario="logging",
        clients=CLIENTS,
        seconds=0,
        warm=_WARM_SECONDS,
        timeout=tool.timeout,
        headers=setup.headers,
        values={"experiment": setup.new_experiment(f"bench-soak-{time.time_ns()}")},
    )


def _look(watched: Watched, stopped: threading.Event) -> None:
    while not stopped.wait(_SAMPLE_EVERY):
        watched.look()


def _kill(watched: Watched, stopped: threading.Event, seconds: float, say: Callable[[str], None]) -> None:
    """Kill all but the first in turn, each when the one before it serves again, and none near the end."""
    for replica in itertools.cycle(watched.up.own(REPLICAS)[1:]):
        if stopped.wait(_KILL_EVERY) or watched.clock.passed + _KILL_EVERY > seconds:
            return
        watched.kill(replica, stopped)
        if stopped.is_set():
            return
        one, left = watched.kills[-1], max(0.0, seconds - watched.clock.passed)
        again = f"ready again after {one.seconds:.1f} s" if one.served else "is not ready again"
        say(f"  {replica.name} was killed, and {again}; {left / 60:.1f} minutes left")


@contextmanager
def _beside(*works: Callable[[threading.Event], None]) -> Iterator[list[str]]:
    """Work in threads beside a block, until it ends. What was raised in one of them is in the list then.

    What the load found out is worth having all the same.
    """
    stopped, failed = threading.Event(), list[str]()
    with ThreadPoolExecutor(len(works)) as threads:
        begun = [threads.submit(work, stopped) for work in works]
        try:
            yield failed
        finally:
            stopped.set()
            errors = [work.exception() for work in begun]
            failed += [f"{type(error).__name__}: {error}" for error in errors if error]
