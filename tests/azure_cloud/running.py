"""The real engine in a folder of its own, against an offline Azure; and a program of the tests' own that it runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from delivery.local_stack.configuration import engine_directory

REPOSITORY: Final = Path(__file__).resolve().parents[2]
NO_CHANGES_EXPECTED: Final = 7
"""Exit code of the engine when something would change and `--expect-no-changes` was given."""

PATIENCE_SECONDS: Final = 120

# What a user's own session sets for the engine and for Azure would lead away from the offline one.
_OF_USER: Final = ("PULUMI_", "AZURE_", "ARM_", "IDENTITY_", "MSI_")


@dataclass(frozen=True)
class Result:
    code: int
    text: str


def engine_environment(folder: Path, provider_port: int) -> dict[str, str]:
    """The variables by which `pulumi` keeps everything in the folder and takes the provider on the port for Azure's."""
    (folder / "state").mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OF_USER)}
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(engine_directory()), os.environ["PATH"]]),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_ERROR_OUTPUT_STRING": "1",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_DEBUG_PROVIDERS": f"azure-native:{provider_port}",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def engine(*arguments: str, folder: Path, environment: Mapping[str, str], timeout: float = 300) -> Result:
    """Run `pulumi` in a project's folder to its end; the text is all that it printed."""
    done = subprocess.run(
        ["pulumi", *arguments, "--non-interactive", "--color=never"],
        cwd=folder,
        env=dict(environment),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout)


def must(result: Result) -> Result:
    """The result of a command that has to succeed. Raises RuntimeError with what it printed."""
    if result.code != 0:
        raise RuntimeError(result.text)
    return result


@dataclass(frozen=True)
class Program:
    """A Pulumi project in a folder. Values are given to it as configuration keys, without secrets."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def written(cls, folder: Path, source: str, provider_port: int) -> Program:
        project = folder / "project"
        project.mkdir()
        (project / "Pulumi.yaml").write_text("name: offline\nruntime: python\n")
        (project / "__main__.py").write_text(source)
        program = cls(folder, engine_environment(folder, provider_port) | {"PYTHONPATH": str(REPOSITORY)})
        must(program.run("stack", "init", "test"))
        return program

    def run(self, *arguments: str) -> Result:
        return engine(*arguments, folder=self.folder / "project", environment=self.environment)

    def configure(self, **values: Any) -> None:
        for key, value in values.items():
            must(self.run("config", "set", key, json.dumps(value) if not isinstance(value, str) else value))

    def up(self) -> Result:
        return self.run("up", "--yes", "--skip-preview", "--stack=test")

    def preview(self, *arguments: str) -> Result:
        return self.run("preview", "--stack=test", *arguments)

    def destroy(self) -> Result:
        return self.run("destroy", "--yes", "--skip-preview", "--stack=test")


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
