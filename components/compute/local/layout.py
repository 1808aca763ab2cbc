"""Where the local stack keeps its things: one folder, named by the program, ignored by git."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The folders below `root`, an absolute path."""

    root: Path

    @property
    def programs(self) -> Path:
        """One supervisor section per process."""
        return self.root / "supervisor" / "programs"

    @property
    def supervisor_config(self) -> Path:
        return self.root / "supervisor" / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.root / "supervisor" / "supervisord.pid"

    @property
    def processes(self) -> Path:
        """What to run, one JSON file per process, and the pid of what runs."""
        return self.root / "processes"

    def container_pid(self, process: str) -> Path:
        """The pid of what runs in a process's container."""
        return self.processes / f"{process}.container"

    @property
    def logs(self) -> Path:
        """One file per process, and where every process runs: what it drops there is beside its log."""
        return self.root / "logs"

    @property
    def spool(self) -> Path:
        """TMPDIR of each process, emptied when it starts, as a container's ephemeral disk is."""
        return self.root / "spool"

    @property
    def data(self) -> Path:
        """What outlives `down`: the database, the blobs, the vault."""
        return self.root / "data"

    @property
    def sockets(self) -> Path:
        """A short folder for Unix sockets, whose paths are limited to 103 bytes on macOS and 107 on Linux.

        Not below TMPDIR, which differs between the processes of a stack and between the shells that drive it.
        """
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        # The supervisor refuses to use a folder there that is not its user's.
        return Path("/tmp") / f"mlflow-platform-{digest}"  # noqa: S108

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / "supervisor.sock"
