"""The supervisor of the local stack: one supervisord that keeps processes alive, reached over a private Unix socket.

supervisord restarts what exits. What it does not do, `keeper` adds: it brings supervisord itself back, restarts a
process that hangs, and never gives up on one.
"""

from __future__ import annotations

import configparser
import http.client
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from filelock import FileLock
from supervisor.xmlrpc import SupervisorTransport

from components.compute.local.launch import inherited
from components.compute.local.layout import Layout

KEEPER = "keeper"
START_SECONDS = 20
STOP_SECONDS = 90
START_RETRIES = 3
"""How often supervisord starts a process again that ends within a second of its start, before it gives up."""
_POLL_SECONDS = 0.1
_AFTER_KILL_SECONDS = 30

_UNKNOWN_PROCESS = 10  # supervisor.xmlrpc.Faults.BAD_NAME
_ALREADY = (60, 90)  # ALREADY_STARTED, ALREADY_ADDED
_NOT_RUNNING = 70


class SupervisorError(RuntimeError):
    """The supervisor cannot be reached or refuses."""


class StuckError(SupervisorError):
    """A process does not end, although it was killed."""


@dataclass(frozen=True)
class Program:
    """How supervisord handles one process. `stop_signal` as in signal(7) without SIG, times in seconds."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_signal: str
    stop_seconds: int

    def section(self, layout: Layout) -> str:
        """The process's own file of supervisord's configuration. Everything that may change is behind `command`."""
        settings = {
            "command": " ".join(_quote(word) for word in self.command),
            "directory": str(layout.logs),
            "priority": str(self.priority),
            # `up` starts processes in the order of their dependencies, so supervisord must not start them all at once.
            "autostart": "true" if self.name == KEEPER else "false",
            "autorestart": "true",
            "startsecs": "1",
            "startretries": str(START_RETRIES),
            "stopsignal": self.stop_signal,
            "stopwaitsecs": str(self.stop_seconds),
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.logs / f"{self.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "2",
        }
        return _ini({f"program:{self.name}": settings})


class Supervisor:
    """A client of the stack's supervisord. Every call raises SupervisorError when there is none."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def alive(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("supervisor.getState")
        except SupervisorError:
            return False
        return True

    def start(self) -> None:
        """Start supervisord unless it runs. The processes are started one by one by whoever wants them."""
        with self._starting():
            if self.alive():
                return
            self._write_configuration()
            try:
                subprocess.run(
                    [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisor_config)],
                    env=inherited(),
                    cwd=self._layout.logs,
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=START_SECONDS,
                )
            except subprocess.CalledProcessError as error:
                raise SupervisorError(f"supervisord did not start: {error.stderr or error.stdout}") from error
            deadline = time.monotonic() + START_SECONDS
            while not self.alive():
                if time.monotonic() > deadline:
                    raise SupervisorError(
                        f"supervisord did not answer within {START_SECONDS} s; see {self._layout.logs}/supervisord.log."
                    )
                time.sleep(_POLL_SECONDS)

    def shutdown(self) -> None:
        """Stop every process in the reverse order of priority, then supervisord. Nothing is lost; no-op when down.

        Raises StuckError for a process that does not end.
        """
        pid = self._pid()
        try:
            self._stop_all()
            self._call("supervisor.shutdown")
        except StuckError:
            raise
        except SupervisorError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while self.alive() or (pid is not None and _exists(pid)):
            if time.monotonic() > deadline:
                raise SupervisorError(f"supervisord (pid {pid}) did not stop within {STOP_SECONDS} s.")
            time.sleep(_POLL_SECONDS)

    def states(self) -> dict[str, str]:
        """Each known process's state in supervisord's words: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL."""
        infos = cast("list[dict[str, Any]]", self._call("supervisor.getAllProcessInfo"))
        return {str(info["name"]): str(info["statename"]) for info in infos}

    def pids(self) -> dict[str, int]:
        """The pid of each process that runs."""
        infos = cast("list[dict[str, Any]]", self._call("supervisor.getAllProcessInfo"))
        return {str(info["name"]): int(info["pid"]) for info in infos if info["pid"]}

    def add(self, program: Program) -> None:
        """Make a process known, replacing what was known under its name if that differs. Does not start it."""
        path = self._layout.programs / f"{program.name}.ini"
        section = program.section(self._layout)
        if path.exists() and path.read_text() == section and program.name in self.states():
            return
        self.remove(program.name)
        path.write_text(section)
        self._call("supervisor.reloadConfig")
        self._call("supervisor.addProcessGroup", program.name, tolerate=_ALREADY)

    def remove(self, name: str) -> None:
        """Stop a process and forget it. No-op when it is not known."""
        (self._layout.programs / f"{name}.ini").unlink(missing_ok=True)
        if name in self.states():
            self.stop_process(name)
            self._call("supervisor.reloadConfig")
            self._call("supervisor.removeProcessGroup", name, tolerate=(_UNKNOWN_PROCESS,))

    def start_process(self, name: str) -> None:
        self._call("supervisor.startProcess", name, False, tolerate=_ALREADY)

    def stop_process(self, name: str) -> None:
        """Stop and wait: first the stop signal, after the grace period a kill."""
        self.stop_processes([name])

    def stop_processes(self, names: Collection[str]) -> None:
        """Stop processes at the same time, and wait for all of them. One that does not run is left alone.

        Raises StuckError for one that is still there after its grace period and a kill.
        """
        for name in names:
            # supervisord's own wait looks without a pause: it takes a whole processor until the process has ended.
            self._call("supervisor.stopProcess", name, False, tolerate=(_NOT_RUNNING,))
        deadline = time.monotonic() + self._grace_seconds(names) + _AFTER_KILL_SECONDS
        while left := sorted(name for name, state in self.states().items() if name in names and state == "STOPPING"):
            if time.monotonic() > deadline:
                raise StuckError(
                    f"{', '.join(left)}: got no end {_AFTER_KILL_SECONDS} s after a kill; it waits for the machine, "
                    f"such as for a disk that does not answer. See {self._layout.logs}/supervisord.log."
                )
            time.sleep(_POLL_SECONDS)

    def kill_process(self, name: str) -> None:
        """Kill without grace; supervisord starts it again."""
        self._call("supervisor.signalProcess", name, "KILL", tolerate=(_NOT_RUNNING,))

    def _grace_seconds(self, names: Collection[str]) -> int:
        infos = cast("list[dict[str, Any]]", self._call("supervisor.getAllConfigInfo"))
        return max((int(info["stopwaitsecs"]) for info in infos if info["name"] in names), default=0)

    def _stop_all(self) -> None:
        """supervisord itself would stop one after the other, each with its grace time."""
        priorities = {path.stem: priority(path) for path in self._layout.programs.glob("*.ini")}
        self.stop_process(KEEPER)
        for level in sorted(set(priorities.values()), reverse=True):
            self.stop_processes([name for name in self.states() if priorities.get(name) == level])

    def _call(self, method: str, *arguments: Any, tolerate: tuple[int, ...] = ()) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._layout.supervisor_socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in tolerate:
                return None
            raise SupervisorError(f"{method}{arguments}: {fault.faultString}") from fault
        except (OSError, xmlrpc.client.ProtocolError, http.client.HTTPException) as error:
            raise SupervisorError(f"No supervisor answers at {self._layout.supervisor_socket}: {error}") from error

    def _pid(self) -> int | None:
        try:
            return int(self._layout.supervisor_pid.read_text())
        except (OSError, ValueError):
            return None

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """One starter at a time: `up` and the keeper may both find supervisord gone."""
        sockets = self._layout.sockets
        for folder in (self._layout.programs, self._layout.processes, self._layout.logs, sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sockets.is_symlink() or sockets.stat().st_uid != os.getuid():
            raise SupervisorError(
                f"{sockets} is not a folder of this user: who owns it could command the stack. Remove it."
            )
        with FileLock(sockets / "starting.lock"):
            yield

    def _write_configuration(self) -> None:
        layout = self._layout
        keeper = Program(
            name=KEEPER,
            command=(sys.executable, "-m", "components.compute.local.keeper", str(layout.root)),
            priority=1,
            stop_signal="TERM",
            stop_seconds=10,
        )
        (layout.programs / f"{KEEPER}.ini").write_text(keeper.section(layout))
        layout.supervisor_config.write_text(
            _ini(
                {
                    "supervisord": {
                        "logfile": str(layout.logs / "supervisord.log"),
                        "logfile_maxbytes": "5MB",
                        "logfile_backups": "1",
                        "pidfile": str(layout.supervisor_pid),
                        "childlogdir": str(layout.logs),
                        "umask": "077",
                        "minfds": "1024",
                    },
                    "unix_http_server": {"file": str(layout.supervisor_socket), "chmod": "0600"},
                    "rpcinterface:supervisor": {
                        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
                    },
                    "include": {"files": str(layout.programs / "*.ini")},
                }
            )
        )


def priority(program: Path) -> int:
    """The priority in a process's own file."""
    lines = program.read_text().splitlines()
    return next(int(line.partition("=")[2]) for line in lines if line.startswith("priority="))


def _ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    parser = configparser.RawConfigParser()
    for section, settings in sections.items():
        # supervisord expands %(name)s in values.
        parser[section] = {key: value.replace("%", "%%") for key, value in settings.items()}
    lines = []
    for section in parser.sections():
        lines.append(f"[{section}]")
        lines.extend(f"{key}={value}" for key, value in parser.items(section))
    return "\n".join(lines) + "\n"


def _quote(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
