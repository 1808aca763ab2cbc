"""Start one process of the local stack in place of this one: `python -m components.compute.local.launch FILE`.

FILE is the JSON of a `Process`. What a platform does around a container is done here: the ephemeral disk is emptied,
the managed identity's header is put into the environment (it is in no spec and in no state), and an earlier incarnation
that outlived its supervisor, or the podman that ran it, is ended first, so that there is never more than one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from components.compute.local import containers
from components.compute.local.containers import Limits
from components.compute.local.layout import Layout

ORPHAN_SECONDS = 10

# What a process may inherit from whoever typed `up`. Anything else (credentials, passphrases, settings of other
# MLflow servers) stays out of the stack.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, kw_only=True)
class Process:
    """What to run. `identity_header` is the file that holds the header of the managed identity, `spool` the TMPDIR.

    With `limits` it runs in a container: `image` is the image's id and `command` what its entry point is given.
    """

    root: str
    name: str
    command: list[str]
    env: dict[str, str]
    spool: str
    image: str
    identity_header: str | None = None
    limits: Limits | None = None

    @classmethod
    def read(cls, path: Path) -> Process:
        values: dict[str, Any] = json.loads(path.read_text())
        known = {key: values[key] for key in cls.__dataclass_fields__ if key in values}
        return cls(**known | {"limits": Limits.of(known["limits"]) if known.get("limits") else None})


def inherited() -> dict[str, str]:
    """What a process of the stack has from the environment of whoever starts it."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def environment(process: Process) -> dict[str, str]:
    """The whole environment of the process; the identity's header is read from its file only here."""
    return inherited() | {"TMPDIR": process.spool, "PYTHONUNBUFFERED": "1"} | _own_environment(process)


def command_line(process: Process) -> list[str]:
    """What is executed in that environment. A container that is left of the process is removed before."""
    if process.limits is None:
        return process.command
    root = Path(process.root)
    containers.remove(root, process.name)
    pid_file = Layout(root).container_pid(process.name)
    pid_file.unlink(missing_ok=True)
    return containers.run_command(
        image=process.image,
        arguments=process.command,
        env=_own_environment(process),
        limits=process.limits,
        root=root,
        process=process.name,
        spool=process.spool,
        pid_file=pid_file,
    )


def _own_environment(process: Process) -> dict[str, str]:
    header = {"IDENTITY_HEADER": Path(process.identity_header).read_text().strip()} if process.identity_header else {}
    return process.env | header


def running(pid_file: Path) -> psutil.Process | None:
    """The process that the file names, if it is still that one: a pid alone may have been given to another since."""
    try:
        pid, started = pid_file.read_text().split()
        process = psutil.Process(int(pid))
        return process if abs(process.create_time() - float(started)) < 1 else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def _end_orphan(pid_file: Path) -> None:
    orphan = running(pid_file)
    if orphan is None or orphan.pid == os.getpid():
        return
    orphan.terminate()
    _, alive = psutil.wait_procs([orphan], timeout=ORPHAN_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=ORPHAN_SECONDS)


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def main(path: Path) -> None:
    process = Process.read(path)
    pid_file = path.with_suffix(".pid")
    _end_orphan(pid_file)
    _empty(Path(process.spool))
    pid_file.write_text(f"{os.getpid()} {psutil.Process().create_time()}")
    command = command_line(process)
    os.execve(command[0], command, environment(process))  # noqa: S606


if __name__ == "__main__":
    main(Path(sys.argv[1]))
