"""What the tests of the bootstrap tools share: stub programs, private environments, a guard against side effects."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]

_GUARD = """
import sys
def refuse(event, args):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event} under the guard: {args}")
sys.addaudithook(refuse)
"""


def stub(path: Path, body: str) -> Path:
    """An executable shell script at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    until(condition, "the awaited state")


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    state = subprocess.run(["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One of the tools as its users run it: a script under some Python, in an environment of its own."""

    script: Path
    environment: Mapping[str, str]
    python: str = sys.executable

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, self.script, *arguments],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **variables) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    """Variables under which a Python process fails when it starts a process or opens a connection."""
    folder = tmp_path / "guard"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_GUARD)
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def private(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache, an empty home and only stubs on PATH."""
    for name in ("home", "cache", "bin"):
        (tmp_path / name).mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": str(tmp_path / "bin"),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | {name: os.environ[name] for name in ("SSL_CERT_FILE", "LANG") if name in os.environ}
