"""A `pulumi up` that is killed in the middle, and the recovery after it, as a person runs both."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from tests.azure_cloud.running import REPOSITORY

PATIENCE_SECONDS: Final = 120


def kill_up(command: Sequence[str], folder: Path, environment: Mapping[str, str], when: Callable[[], bool]) -> None:
    """Run the engine until `when` holds, then kill it and all that it has started."""
    child = subprocess.Popen(
        ["pulumi", *command, "--non-interactive"],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    engine = psutil.Process(child.pid)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not when():
            assert child.poll() is None, "the engine ended before it could be killed"
            assert time.monotonic() < deadline, "what the engine was to be killed in never came"
            time.sleep(0.02)
    finally:
        # The engine first: it must not see its plugins die. They are in process groups of their own.
        started: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            engine.suspend()
            started = engine.children(recursive=True)
        child.kill()
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()
        psutil.wait_procs(started, timeout=PATIENCE_SECONDS)


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    notices: str

    @property
    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def outcomes(self) -> dict[str, str]:
        return {one["name"]: one["outcome"] for one in self.document["operations"]}


def recover(stack: str, environment: Mapping[str, str], *options: str) -> Run:
    """`python -m delivery.recover` to its end, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "delivery.recover", "--stack", stack, *options],
        cwd=REPOSITORY,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)
