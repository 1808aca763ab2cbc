"""Groups of equal processes, one per replica: written down, started, rolled, looked at and removed.

A group is described by plain JSON-like inputs, so that it can be an input of a Pulumi resource. This module does the
work and knows nothing of Pulumi.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from components.compute.local import containers
from components.compute.local.containers import ContainerError, Limits
from components.compute.local.launch import running
from components.compute.local.layout import Layout
from components.compute.local.supervisor import START_RETRIES, Program, Supervisor

HOST = "127.0.0.1"
NO_PORT = 0
"""In place of a port: the process listens on none."""
LOG_LINES = 15
LOG_WIDTH = 400
RUNNING = "running"
STOPPED = "stopped"
CHANGED = "changed"

# A process that supervisord is about to start again is not drift: nobody has to do anything about it.
_KEPT = ("RUNNING", "STARTING", "BACKOFF")


class ProcessError(RuntimeError):
    """A process cannot be started or does not become ready."""


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """What is run. Times in seconds.

    One replica per element of `ports`, which it gets as PORT. `extra_ports` are other ports that the process opens.
    `ready` and `live` are paths for an HTTP GET on the port; without `ready` an open port is enough, and a process
    without a port (NO_PORT) creates the file that its variable READY_FILE names. `image` changes when the code does.
    `identity_header` is the file of the managed identity's header. With `limits` each replica is a container of the
    `image`, which is an id then, and `command` is what its entry point is given. Where `shares_port`, a second process
    can listen on the port of the first (SO_REUSEPORT), so that a lone replica is replaced without a gap.
    """

    root: str
    name: str
    command: list[str]
    env: dict[str, str]
    ports: list[int]
    priority: int
    image: str
    identity_header: str | None = None
    limits: Limits | None = None
    extra_ports: list[int] = field(default_factory=list)
    shares_port: bool = False
    ready: str | None = None
    live: str | None = None
    live_period: int = 5
    live_timeout: int = 3
    live_failures: int = 6
    start_seconds: int = 60
    stop_signal: str = "TERM"
    stop_seconds: int = 30

    @classmethod
    def of(cls, props: dict[str, Any]) -> ProcessGroup:
        """From a resource's inputs or outputs, whose numbers arrive as floats and which may hold more than inputs."""
        known = {key: value for key, value in props.items() if key in cls.__dataclass_fields__}
        for key, kind in cls.__annotations__.items():
            if kind == "int" and key in known:
                known[key] = int(known[key])
            if kind == "list[int]" and key in known:
                known[key] = [int(value) for value in known[key]]
        if known.get("limits"):
            known["limits"] = Limits.of(known["limits"])
        return cls(**known)

    @property
    def layout(self) -> Layout:
        return Layout(Path(self.root))

    def replicas(self) -> dict[str, int]:
        """Name of each process and its port: the first has the group's own name, so scaling renames nothing."""
        return {
            self.name if number == 1 else f"{self.name}-{number}": port for number, port in enumerate(self.ports, 1)
        }

    def ready_file(self, replica: str) -> Path:
        """What a process without a port creates once it is ready."""
        return self.layout.processes / f"{replica}.ready"

    def document(self, replica: str, port: int) -> dict[str, Any]:
        """What `launch` and `keeper` read of one replica."""
        probe = {
            "period": self.live_period,
            "timeout": self.live_timeout,
            "failures": self.live_failures,
            "start_seconds": self.start_seconds,
        }
        own = {"READY_FILE": str(self.ready_file(replica))} if port == NO_PORT else {"PORT": str(port)}
        return {
            "root": self.root,
            "name": replica,
            "command": self.command,
            "env": self.env | own,
            "spool": str(self.layout.spool / replica),
            "identity_header": self.identity_header,
            "image": self.image,
            "limits": None if self.limits is None else asdict(self.limits),
            "ready": self.ready,
            "live": None if self.live is None else {"port": port, "path": self.live, **probe},
        }


def apply(group: ProcessGroup) -> None:
    """Bring the processes to what `group` says, one replica at a time, and wait until each is ready.

    A replica that already runs as described is left alone; a replica that is no longer wanted is removed last. A first
    start has nothing to keep alive, so there all replicas come up together.
    """
    supervisor = Supervisor(group.layout)
    supervisor.start()
    wanted = group.replicas()
    stale = [name for name in wanted if _state(supervisor, group, name) != RUNNING]
    rolling = len(stale) < len(wanted) or any(name in supervisor.pids() for name in stale)
    if group.shares_port:
        _forget(supervisor, group, _stand_in(group.name))  # an `up` that was killed may have left it
    for name in stale:
        bridged = group.shares_port and rolling and len(wanted) == 1 and _same_user(group, name)
        with _bridged(supervisor, group) if bridged else contextlib.nullcontext():
            _start(supervisor, group, name, wanted[name])
            if rolling:
                _await_ready(supervisor, group, name)
    for name in wanted:
        _await_ready(supervisor, group, name)
    for name in _known(group) - wanted.keys():
        _forget(supervisor, group, name)


def status(group: ProcessGroup) -> dict[str, str]:
    """Of each replica: running, stopped, or changed (it runs, but not as described)."""
    supervisor = Supervisor(group.layout)
    return {name: _state(supervisor, group, name) for name in group.replicas()}


def remove(group: ProcessGroup) -> None:
    """Stop the group's processes and forget them; their data and logs stay.

    They stop at the same time: no replica has to take over, so none waits.
    """
    supervisor = Supervisor(group.layout)
    names = _known(group) | group.replicas().keys()
    if supervisor.alive():
        supervisor.stop_processes(names & supervisor.states().keys())
    for name in names:
        _forget(supervisor, group, name)


def port_conflicts(group: ProcessGroup) -> list[str]:
    """Ports that somebody else listens on, each with who it is where that can be seen."""
    own = {process.pid for path in group.layout.processes.glob("*.pid") if (process := running(path)) is not None}
    # What runs in a container is no child of the podman that supervisord keeps.
    own |= {pid for path in group.layout.processes.glob("*.container") if (pid := _pid(path))}
    return [
        f"port {port} on {HOST} is taken{_by_process(port)}"
        for port in (*group.ports, *group.extra_ports)
        if port != NO_PORT and not _free(port) and not _listened_by(port, own)
    ]


def log_tail(path: Path) -> str:
    """The last lines of a log, indented for a message."""
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(f"    {textwrap.shorten(line, LOG_WIDTH)}" for line in lines)
    return "    (no log yet)"


def answers(port: int, path: str, timeout: float) -> bool:
    """Whether an HTTP GET is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _state(supervisor: Supervisor, group: ProcessGroup, name: str) -> str:
    if not supervisor.alive() or supervisor.states().get(name) not in _KEPT:
        return STOPPED
    try:
        written = json.loads(_file(group, name).read_text())
    except (OSError, ValueError):
        return CHANGED
    return RUNNING if written == group.document(name, group.replicas()[name]) else CHANGED


def _same_user(group: ProcessGroup, name: str) -> bool:
    """Whether the current replica runs as the user of the new one: only then can they share a port.

    A container has the image's user, any other process the one who typed `up`.
    """
    try:
        written = json.loads(_file(group, name).read_text())
    except (OSError, ValueError):
        return False
    return bool(written.get("limits")) == (group.limits is not None)


@contextlib.contextmanager
def _bridged(supervisor: Supervisor, group: ProcessGroup) -> Iterator[None]:
    """A second process beside a lone replica while that one is replaced. It runs the new version on the same port.

    A system that does not tell who listens (macOS without root) cannot say when it is there, so there is none then.
    """
    (port,) = group.ports
    if _listeners(port) != 1:
        yield
        return
    name = _stand_in(group.name)
    _start(supervisor, group, name, port)
    _await_both_listening(supervisor, group, name, port)
    yield
    _await_both_listening(supervisor, group, group.name, port)
    _forget(supervisor, group, name)


def _stand_in(name: str) -> str:
    return f"{name}-standing-in"


def _await_both_listening(supervisor: Supervisor, group: ProcessGroup, name: str, port: int) -> None:
    replica_and_stand_in = 2
    what = f"does not share {HOST}:{port}"
    _await(supervisor, group, name, lambda: _listeners(port) == replica_and_stand_in, what)


def _start(supervisor: Supervisor, group: ProcessGroup, name: str, port: int) -> None:
    path = _file(group, name)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(group.document(name, port), indent=1, sort_keys=True))
    supervisor.add(
        Program(
            name=name,
            command=(sys.executable, "-m", "components.compute.local.launch", str(path)),
            priority=group.priority,
            stop_signal=group.stop_signal,
            stop_seconds=group.stop_seconds,
        )
    )
    supervisor.stop_process(name)
    _remove_container(group, name)
    group.ready_file(name).unlink(missing_ok=True)
    temporary.replace(path)
    supervisor.start_process(name)


def _await_ready(supervisor: Supervisor, group: ProcessGroup, name: str) -> None:
    port = group.replicas()[name]
    if port == NO_PORT:
        _await(supervisor, group, name, group.ready_file(name).exists, "is not ready")
    else:
        _await(supervisor, group, name, lambda: _is_ready(group, port), f"is not ready on {HOST}:{port}")


def _await(
    supervisor: Supervisor, group: ProcessGroup, name: str, condition: Callable[[], bool], otherwise: str
) -> None:
    """Wait until `condition` holds of the process; raises ProcessError that says `otherwise` and quotes its log.

    It does not wait for a process that ends again and again: supervisord takes one that lived for a second as started.
    """
    deadline = time.monotonic() + group.start_seconds
    started: set[int] = set()
    while not condition():
        state = supervisor.states().get(name)
        if pid := supervisor.pids().get(name):
            started.add(pid)
        ended = len(started) - 1
        if state in ("FATAL", "STOPPED", None) or ended > START_RETRIES or time.monotonic() > deadline:
            log = group.layout.logs / f"{name}.log"
            seen = f"it ended {ended} times" if ended > START_RETRIES else f"it is {state}"
            raise ProcessError(
                f"{name} {otherwise} within {group.start_seconds} s ({seen}). "
                f"The end of {log}:\n{log_tail(log)}\n"
                "Fix what it says and run `up` again: it goes on from here."
            )
        time.sleep(0.2)


def _is_ready(group: ProcessGroup, port: int) -> bool:
    return answers(port, group.ready, timeout=5) if group.ready else not _free(port)


def _forget(supervisor: Supervisor, group: ProcessGroup, name: str) -> None:
    if supervisor.alive():
        supervisor.remove(name)
    _remove_container(group, name)
    for suffix in (".json", ".pid", ".ready"):
        (group.layout.processes / name).with_suffix(suffix).unlink(missing_ok=True)
    (group.layout.programs / f"{name}.ini").unlink(missing_ok=True)


def _remove_container(group: ProcessGroup, name: str) -> None:
    """A container outlives a podman that supervisord had to kill, or that somebody else killed."""
    pid_file = group.layout.container_pid(name)
    if pid_file.exists():
        try:
            containers.remove(Path(group.root), name)
        except ContainerError as error:
            raise ProcessError(f"{name}: {error}.") from error
        pid_file.unlink(missing_ok=True)


def _known(group: ProcessGroup) -> set[str]:
    """The replicas of the group that were ever started and not forgotten."""
    names = {path.stem for path in group.layout.processes.glob("*.json")}
    return {name for name in names if re.fullmatch(rf"{re.escape(group.name)}(-\d+)?", name)}


def _file(group: ProcessGroup, name: str) -> Path:
    return group.layout.processes / f"{name}.json"


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listening(port: int) -> list[int | None]:
    """The pid of each socket that listens on the port; none where the system does not tell (macOS without root)."""
    with contextlib.suppress(psutil.AccessDenied):
        return [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
    return []


def _listeners(port: int) -> int:
    return len(_listening(port))


def _listener(port: int) -> int | None:
    return next((pid for pid in _listening(port) if pid), None)


def _listened_by(port: int, pids: set[int]) -> bool:
    pid = _listener(port)
    if pid is None:
        return bool(pids)
    ancestors = {pid}
    with contextlib.suppress(psutil.NoSuchProcess):
        ancestors |= {parent.pid for parent in psutil.Process(pid).parents()}
    return bool(ancestors & pids)


def _by_process(port: int) -> str:
    pid = _listener(port)
    if pid is None:
        return ""
    with contextlib.suppress(psutil.NoSuchProcess):
        return f" by {psutil.Process(pid).name()} (pid {pid})"
    return ""
