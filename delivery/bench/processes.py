"""Processes of a bench: started on 127.0.0.1, measured with their children, and ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from components.compute.local.processes import HOST, answers, log_tail
from delivery.outcome import CommandError

START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 15.0
# Below the range that systems hand out by themselves.
_FIRST_PORT: Final = 30_000
_LAST_PORT: Final = 32_700


@dataclass(frozen=True, kw_only=True)
class Use:
    """What processes used: seconds of a processor since they began, and MiB of memory, shared pages in parts."""

    cpu_seconds: float
    memory_mib: float


@dataclass
class Processes:
    """What a bench started, each the leader of a group of its own, so that its children end with it."""

    logs: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _next_port: int = field(default_factory=lambda: _FIRST_PORT + os.getpid() % 1000)

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> int:
        """Start a process in the background, its output in a log; return its pid."""
        with (self.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)
        return process.pid

    def await_ready(self, name: str, port: int, path: str) -> None:
        """Wait until a GET is answered with 200. Raises CommandError with the log's end."""
        deadline = time.monotonic() + START_SECONDS
        while not answers(port, path, timeout=5):
            if time.monotonic() > deadline or any(each.poll() is not None for each in self._started):
                raise CommandError(
                    f"bench: {name} did not start on {HOST}:{port}. The end of its log:\n"
                    f"{log_tail(self.logs / f'{name}.log')}\nFix what it says and run the command again."
                )
            time.sleep(0.2)

    def free_ports(self, count: int = 1) -> int:
        """Return the first of `count` ports in a row that nobody listens on, and that were not returned before."""
        for base in range(self._next_port, _LAST_PORT - count):
            if all(_is_free(port) for port in range(base, base + count)):
                self._next_port = base + count
                return base
        raise CommandError(f"bench: no {count} free ports in a row on {HOST} from {_FIRST_PORT} to {_LAST_PORT}.")

    def end(self) -> None:
        """End all of them with their children."""
        end(self._started)
        self._started.clear()


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End leaders of groups with all of their children: first asked, then killed."""
    children = _with_children(process.pid for process in processes if process.poll() is None)
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        _signal(process, signal.SIGKILL)
        process.wait()
    for child in children:  # of a session of its own, which its parent left behind
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, STOP_SECONDS)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group, for a block; it has ended after it, with its children."""
    try:
        yield process
    finally:
        end([process])


@contextlib.contextmanager
def running(logs: Path) -> Iterator[Processes]:
    """The processes of a block; all have ended after it."""
    logs.mkdir(parents=True, exist_ok=True)
    processes = Processes(logs)
    try:
        yield processes
    finally:
        processes.end()


def use(pids: Iterable[int]) -> Use:
    """What the processes and their children used. One that has ended counts with the parent that waited for it."""
    cpu = memory = 0.0
    for process in _with_children(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            cpu += sum(process.cpu_times()[:4])
            memory += _memory(process)
    return Use(cpu_seconds=cpu, memory_mib=memory / 2**20)


def machine_seconds() -> float:
    """Seconds of work of all processors since the machine began, whoever had them."""
    times = psutil.cpu_times()
    # Of a guest's time the user's has it already.
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _with_children(pids: Iterable[int]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    return list(found.values())


def _memory(process: psutil.Process) -> float:
    """Proportional set size, in bytes; the resident size where the system does not tell it (macOS, another's)."""
    try:
        return float(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return float(process.memory_info().rss)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
