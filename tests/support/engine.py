"""A Pulumi program of the tests' own against an offline Azure, and an engine that is killed in the middle."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.provider import serve
from delivery.offline_azure.running import engine_environment
from delivery.pulumi.engine import Engine, Result
from tests.support import offline_key, warm
from tests.support.command_line import finding_the_checkout
from tests.support.waiting import until

PATIENCE_SECONDS: Final = 120
ENGINE_SECONDS: Final = 300
PROJECT: Final = "offline"


@dataclass(frozen=True)
class Program:
    """A Pulumi project in a folder. Values are given to it as configuration keys, without secrets."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def written(cls, folder: Path, source: str, provider_port: int) -> Program:
        project = folder / "project"
        project.mkdir()
        (project / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        (project / "__main__.py").write_text(source)
        program = cls.opened(folder, provider_port)
        program.engine.must("stack", "init", "test", "--secrets-provider", offline_key.PROVIDER)
        return program

    @classmethod
    def opened(cls, folder: Path, provider_port: int) -> Program:
        """The program of a folder in which one was written."""
        environment = {**engine_environment(folder, provider_port), **offline_key.environment()}
        return cls(folder, finding_the_checkout(environment))

    @property
    def engine(self) -> Engine:
        return Engine(folder=self.folder / "project", environment=self.environment)

    def run(self, *arguments: str) -> Result:
        return self.engine.run(*arguments, timeout=ENGINE_SECONDS)

    def configure(self, **values: Any) -> None:
        """Set configuration values in the stack's file, as `pulumi config set` does."""
        file = self.folder / "project" / "Pulumi.test.yaml"
        document = yaml.safe_load(file.read_text())
        config = document.get("config", {}) | {f"{PROJECT}:{key}": value for key, value in values.items()}
        file.write_text(yaml.safe_dump({**document, "config": config}))

    def up(self, *arguments: str) -> Result:
        return self.run("up", "--yes", "--skip-preview", "--stack=test", *arguments)

    def preview(self, *arguments: str) -> Result:
        return self.run("preview", "--stack=test", *arguments)

    def destroy(self) -> Result:
        return self.run("destroy", "--yes", "--skip-preview", "--stack=test")


@contextlib.contextmanager
def served(azure: Azure) -> Iterator[int]:
    """The port on which an Azure serves the engine, until the end of the block. Slow calls are answered then."""
    server, port = serve(azure)
    try:
        yield port
    finally:
        azure.clear_faults()
        server.stop(None)


def copied(source: Path, folder: Path) -> Path:
    """Copy a stack with its state, its configuration and its Azure, as `source` has them; returns `folder`."""
    for part in ("state", "project"):
        shutil.copytree(source / part, folder / part)
    shutil.copy(source / "azure.json", folder)
    return folder


def kill_up(command: Sequence[str], folder: Path, environment: Mapping[str, str], when: Callable[[], bool]) -> None:
    """Run the engine until `when` holds, then kill it and all that it has started."""
    kill(["pulumi", *command, "--non-interactive"], folder, environment, when)


def kill(command: Sequence[str], folder: Path, environment: Mapping[str, str], when: Callable[[], bool]) -> None:
    """Run a command until `when` holds, then kill it and all that it has started."""
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, **warm.COLD},  # else its program would not be among those that it has started
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    first = psutil.Process(child.pid)
    try:

        def comes() -> bool:
            assert child.poll() is None, "the command ended before it could be killed"
            return when()

        until(comes, "what the command is to be killed in", PATIENCE_SECONDS)
    finally:
        # None of them may see another one die: the engine, or who called it, would end in good order. Plugins are in
        # process groups of their own.
        started: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            first.suspend()
            started = first.children(recursive=True)
        for process in [first, *started]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in [first, *started]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait()
        psutil.wait_procs(started, timeout=PATIENCE_SECONDS)
