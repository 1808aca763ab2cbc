"""This platform as it is measured: a local stack of its own, and more of its services beside it.

The stack is the product's, brought up by the product's command. What differs between the setups is started from the
stack's own descriptions of its processes, with one variable changed: other upstreams of a gateway, other limits of a
replica.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from components.compute.local import launch
from components.compute.local.launch import Process, command_line, environment
from components.compute.local.layout import Layout
from components.compute.local.processes import HOST, log_tail
from components.compute.local.supervisor import Supervisor
from components.mlflow.access import AccessControl
from components.mlflow.topology import VARIABLE_PREFIX
from delivery.bench.processes import Processes, ended
from delivery.bench.setup import Setup
from delivery.bench.store import Postgres
from delivery.local.configuration import PROJECT
from delivery.outcome import CommandError
from delivery.pulumi.installation import REPOSITORY
from delivery.stacks import LOCAL
from infra.settings.ports import COUNT, LocalPort, port

POOL: Final = 16
"""`limits.databasePool` of the stack: with the default, four replicas are more than the local PostgreSQL takes."""

_TRACKING: Final = "tracking"
_UPSTREAMS: Final = f"{VARIABLE_PREFIX}TRACKING_UPSTREAMS"
_HOT_PATH: Final = f"{VARIABLE_PREFIX}HOT_PATH_CONNECTIONS"
_METRICS_PORT: Final = f"{VARIABLE_PREFIX}METRICS_PORT"


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A replica of tracking: the name of its process, its pid and its port."""

    name: str
    pid: int
    port: int


@dataclass(frozen=True)
class Platform:
    """A local stack that is up, and the processes that a bench starts beside it."""

    layout: Layout
    base: int
    processes: Processes
    beside: dict[str, list[Replica]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The name by which the gateway and the services are called, whatever port another gateway has."""
        return f"{HOST}:{self.base}"

    @property
    def postgres(self) -> Postgres:
        """The database of tracking."""
        return self.database(_TRACKING)

    @property
    def postgres_pid(self) -> int:
        """The server's own process."""
        return self.pid("postgres")

    def database(self, name: str) -> Postgres:
        """A database of the stack's server."""
        sockets = self.layout.sockets / "postgres"
        return Postgres(sockets=sockets, port=port(self.base, LocalPort.POSTGRES), database=name)

    def pid(self, process: str) -> int:
        """The pid of one of the stack's processes."""
        found = launch.running(self.layout.processes / f"{process}.pid")
        if found is None:
            raise CommandError(f"bench: {process} of its stack has ended:\n{log_tail(self.log(process))}")
        return found.pid

    def log(self, process: str) -> Path:
        """The log of one of the stack's processes."""
        return self.layout.logs / f"{process}.log"

    def own(self, count: int) -> list[Replica]:
        """The first replicas of tracking of the stack itself, which it starts again when they end."""
        names = [_TRACKING if number == 1 else f"{_TRACKING}-{number}" for number in range(1, count + 1)]
        first = port(self.base, LocalPort.TRACKING)
        return [Replica(name=name, pid=self.pid(name), port=first + index) for index, name in enumerate(names)]

    def replicas(self, count: int) -> list[Replica]:
        """As many replicas of tracking as the stack would run them."""
        return self._beside("hot", count, {})

    def replicas_without_hot_path(self, count: int) -> list[Replica]:
        """As many replicas of tracking in which MLflow answers everything."""
        return self._beside("cold", count, {_HOT_PATH: "0"})

    def replicas_with_access(self, count: int, access: AccessControl) -> list[Replica]:
        """As many replicas of tracking that let nobody in without a token."""
        return self._beside(
            "access", count, {f"{VARIABLE_PREFIX}{name}": value for name, value in access.settings().items()}
        )

    def _beside(self, kind: str, count: int, changes: Mapping[str, str]) -> list[Replica]:
        """Replicas beside the stack's own; those of the kind that run already are the first of them.

        Each leads a session. The kernel shares processors out between sessions (autogroup in sched(7)): the stack's own
        replicas share one with its database, and would get less than a server that has one to itself. Containers have
        a group each.
        """
        running = self.beside.setdefault(kind, [])
        started = []
        for number in range(len(running), count):
            name, own = f"tracking-{kind}-{number + 1}", self.processes.free_ports()
            pid = self._start(name, _TRACKING, {**changes, "PORT": str(own)})
            started.append(Replica(name=name, pid=pid, port=own))
        for replica in started:
            self.processes.await_ready(replica.name, replica.port, "/ready")
            running.append(replica)
        return running[:count]

    def setup(self, name: str, replicas: Sequence[Replica], headers: Mapping[str, str] | None = None) -> Setup:
        """A gateway of its own before these replicas; registry and artifacts are the stack's."""
        own = self.processes.free_ports()
        upstreams = ",".join(f"{HOST}:{replica.port}" for replica in replicas)
        changes = {"PORT": str(own), _UPSTREAMS: upstreams, _METRICS_PORT: None}
        gateway = self._start(f"{name}-gateway", "gateway", changes)
        self.processes.await_ready(f"{name}-gateway", own, "/ready")
        return Setup(
            name=name,
            url=f"http://{HOST}:{own}",
            store=self.postgres,
            processes=[gateway, *(replica.pid for replica in replicas), self.pid("registry"), self.pid("artifacts")],
            database=self.postgres_pid,
            gateway=gateway,
            headers={"Host": self.host, **(headers or {})},
        )

    def direct(self, name: str, replica: Replica) -> Setup:
        """One replica without a gateway before it, as nobody but a gateway calls it."""
        return Setup(
            name=name,
            url=f"http://{HOST}:{replica.port}",
            store=self.postgres,
            processes=[replica.pid],
            database=self.postgres_pid,
            headers={"Host": self.host},
        )

    def _start(self, name: str, like: str, changes: Mapping[str, str | None]) -> int:
        process = Process.read(self.layout.processes / f"{like}.json")
        kept = {key: value for key, value in process.env.items() if key not in changes}
        changed = {key: value for key, value in changes.items() if value is not None}
        spool = self.layout.spool / name
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        process = replace(process, name=name, env={**kept, **changed}, spool=str(spool))
        return self.processes.start(name, command_line(process), environment(process), self.processes.logs)


@contextlib.contextmanager
def stack(folder: Path, processes: Processes, *, replicas: int, seconds: float) -> Iterator[Platform]:
    """A local stack in an empty folder, with free ports; everything of it is removed after the block.

    Raises CommandError if it is not up within `seconds`.
    """
    base, root = processes.free_ports(COUNT), folder / "stack"
    file = folder / f"Pulumi.{LOCAL}.yaml"
    values = {
        "profile": "local",
        "local": {"portBase": base, "stateDirectory": str(root)},
        "tracking": {"minReplicas": replicas},
        "limits": {"databasePool": POOL},
    }
    # JSON is YAML too.
    file.write_text(json.dumps({"config": {f"{PROJECT}:{key}": value for key, value in values.items()}}))
    layout = Layout(root)
    try:
        _up(file, folder, seconds)
        yield Platform(layout, base, processes)
    finally:
        Supervisor(layout).shutdown()
        shutil.rmtree(layout.sockets, ignore_errors=True)


def _up(file: Path, folder: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "delivery", "up", "--no-smoke", "--config-file", str(file)]
    log = folder / "logs" / "up.log"
    with log.open("wb") as output:
        # Of a session of its own: interrupted, it ends its engine in order, before what it started is removed.
        up = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output, start_new_session=True)
    with ended(up):
        try:
            code = up.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
    if code != 0:
        late = f" within {seconds:.0f} s; wait until the machine is quiet" if code is None else ""
        raise CommandError(f"bench: its stack did not come up{late}. The end of the output:\n{log_tail(log)}")
