"""Commands that run to their end: started, watched, timed, and quoted when they fail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.compute.local import containers
from components.compute.local.containers import ContainerError, Limits
from components.compute.local.launch import Process, command_line, environment
from components.compute.local.layout import Layout
from components.compute.local.processes import log_tail

STOP_SECONDS = 10
"""How long a job that is stopped may take before it is killed."""


class JobError(RuntimeError):
    """A job failed or took too long."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run. `image` changes when the code does; `identity_header` is the file of the identity's header.

    With `limits` it runs in a container of the `image`, and `command` is what the entry point is given.
    """

    root: str
    name: str
    command: list[str]
    env: dict[str, str]
    image: str
    timeout_seconds: int
    identity_header: str | None = None
    limits: Limits | None = None

    @classmethod
    def of(cls, props: dict[str, Any]) -> Job:
        """From a resource's inputs, whose numbers arrive as floats and which may hold more than a job's."""
        known = {key: value for key, value in props.items() if key in cls.__dataclass_fields__}
        limits = Limits.of(known["limits"]) if known.get("limits") else None
        return cls(**known | {"timeout_seconds": int(known["timeout_seconds"]), "limits": limits})


def run(job: Job) -> None:
    """Run the command; its output goes to the job's log, whose end is in the error if it fails."""
    layout = Layout(Path(job.root))
    log = layout.logs / f"{job.name}.log"
    spool = layout.spool / job.name
    for folder in (layout.logs, layout.processes, spool):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    process = Process(
        root=job.root,
        name=job.name,
        command=job.command,
        env=job.env,
        spool=str(spool),
        image=job.image,
        identity_header=job.identity_header,
        limits=job.limits,
    )
    with log.open("ab") as output, _started(process, layout.logs, output.fileno()) as child:
        try:
            code = child.wait(timeout=job.timeout_seconds)
        except subprocess.TimeoutExpired:
            raise JobError(_failure(job, log, f"did not end within {job.timeout_seconds} s")) from None
    if code != 0:
        raise JobError(_failure(job, log, f"ended with exit code {code}"))


@contextlib.contextmanager
def _started(process: Process, directory: Path, output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a group of its own, which is ended with this block whatever happens in it."""
    try:
        command = command_line(process)
    except ContainerError as error:
        raise JobError(f"The job {process.name} cannot start: {error}.") from error
    child = subprocess.Popen(
        command,
        env=environment(process),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if process.limits is not None:
            containers.remove(Path(process.root), process.name)
            Layout(Path(process.root)).container_pid(process.name).unlink(missing_ok=True)


def _failure(job: Job, log: Path, what: str) -> str:
    return (
        f"The job {job.name} {what}; what ran before it still runs. The end of {log}:\n{log_tail(log)}\n"
        "It is safe to repeat: fix what it says and run `up` again."
    )
