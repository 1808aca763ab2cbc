"""The database cluster on disk: made once, taken over from whatever a crash left behind, and configured."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from components.emulators import durable
from components.emulators.postgres import LOOPBACK
from components.emulators.postgres.account import Account

# Linux allows 107 bytes in the path of a Unix socket, macOS 103.
SOCKET_PATH_LIMIT = 103
_TAKE_OVER_SECONDS = 20.0
_PROGRAMS = ("postgres", "initdb", "setpriv")

# The server's own process alone says what it needs; postgresql.conf stays as initdb wrote it.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_permissions": "0700",
    # A service may open 80 (two engines, a pool of 20 and as much overflow); there are three of them by default.
    "max_connections": "400",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    # A laptop: no replicas to feed, no worker processes that wait for work, no compiler.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


class AlreadyRunning(Exception):  # noqa: N818
    """Another process runs this cluster."""


@dataclass(frozen=True)
class Cluster:
    """A cluster below `root`, run by `account` with the programs in `binaries`, its private socket in `sockets`."""

    root: Path
    sockets: Path
    binaries: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.root / "data"

    def take(self) -> None:
        """Become the only one to run this cluster, until this process and all its children have ended.

        Ends what a killed server left behind. Raises AlreadyRunning while another program runs it.
        """
        descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _TAKE_OVER_SECONDS
        while not _try_lock(descriptor):
            holder = _living(os.pread(descriptor, 100, 0).decode())
            if holder is not None:
                raise AlreadyRunning(f"{self.root} is run by process {holder.pid}; stop that first.")
            if time.monotonic() > deadline:
                raise AlreadyRunning(f"{self.root} is still in use by processes of a killed server.")
            self._kill_leftovers()
            time.sleep(0.05)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {psutil.Process().create_time()}".encode(), 0)
        # The server and all its children keep the lock: it is free only when the last of them has gone.
        os.set_inheritable(descriptor, True)
        # So these are of the dead. PostgreSQL would believe them if their process id were that of a zombie by now, or
        # of another process of this user.
        for stale in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def initialise(self) -> None:
        """Make the data directory, unless it is there. A half-made one of an earlier attempt is removed."""
        for half_made in self.root.glob("data.new-*"):
            shutil.rmtree(half_made)
        if self.data.exists():
            self.account.own(self.data)
            return
        aside = self.root / f"data.new-{os.getpid()}"
        aside.mkdir(mode=0o700)
        self.account.own(aside)
        self.run(
            "initdb",
            *("-D", str(aside)),
            "--username=postgres",
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        aside.rename(self.data)
        durable.flush_folder(self.root)

    def write_access_rules(self) -> None:
        """Who may sign in: the superuser from this machine's account over the socket, all others over TCP by token."""
        rules = (
            "local all postgres peer map=stack",
            "local all all reject",
            "host all postgres all reject",
            f"host all all {LOOPBACK}/32 scram-sha-256",
        )
        for name, lines in (("pg_hba.conf", rules), ("pg_ident.conf", (f'stack "{self.account.signs_in}" postgres',))):
            durable.write(self.data / name, "".join(f"{line}\n" for line in lines).encode())
            os.chown(self.data / name, self.account.uid, self.account.gid)

    def prepare_sockets(self, port: int) -> None:
        """Make the folder of the private socket. Refuses a path that is too long and a folder of somebody else."""
        socket = self.sockets / f".s.PGSQL.{port}"
        if len(os.fsencode(socket)) > SOCKET_PATH_LIMIT:
            raise ValueError(
                f"--sockets: {self.sockets} is too long for a Unix socket ({SOCKET_PATH_LIMIT} bytes with its name); "
                "use a shorter folder."
            )
        durable.folder(self.sockets)
        status = self.sockets.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), self.account.uid):
            raise PermissionError(f"--sockets: {self.sockets} is not a folder of this user; remove it or use another.")
        self.sockets.chmod(0o700)
        os.chown(self.sockets, self.account.uid, self.account.gid)

    def server_command(self, port: int) -> list[str]:
        """The command that runs the server in the foreground."""
        settings = _SETTINGS | {"port": str(port), "unix_socket_directories": f'"{self.sockets}"'}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*self.account.prefix, str(self.binaries / "postgres"), "-D", str(self.data), *options]

    def run(self, program: str, *arguments: str, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs to its end. Raises RuntimeError with its output when it fails."""
        command = [*self.account.prefix, str(self.binaries / program), *arguments]
        result = subprocess.run(
            command,
            input=stdin,
            env=environment(),
            cwd=self.root,
            close_fds=False,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed with {result.returncode}: {result.stderr.strip()}")

    def _kill_leftovers(self) -> None:
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] in _PROGRAMS and Path(process.cwd()).is_relative_to(self.root):
                    process.kill()
            except psutil.Error:
                continue


def environment() -> dict[str, str]:
    """What PostgreSQL's programs inherit: nothing of the caller's PG* variables or language."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _living(holder: str) -> psutil.Process | None:
    """The process that a lock file names, if it is still that one. Becoming postgres changes neither pid nor start."""
    try:
        pid, started = holder.split()
        process = psutil.Process(int(pid))
        return process if abs(process.create_time() - float(started)) < 1 and process.is_running() else None
    except (ValueError, psutil.NoSuchProcess):
        return None
