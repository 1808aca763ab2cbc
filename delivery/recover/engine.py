"""The engine's commands that a recovery is made of, run from the repository's root in the user's own environment."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from delivery.local.configuration import REPOSITORY, engine_directory

State = dict[str, Any]

_LOCKED: Final = "currently locked by"


class EngineError(RuntimeError):
    """A command of the engine failed; the message is what it said."""


@dataclass(frozen=True)
class Result:
    """What a command ended with, and what it printed."""

    code: int
    out: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Engine:
    """`pulumi` for one stack. `config_file` is the stack's file where it is not the one in the project's folder."""

    stack: str
    config_file: Path | None
    environment: Mapping[str, str]
    repository: Path = REPOSITORY

    def state(self) -> State:
        """The stack's state as the engine exports it: secrets stay encrypted. Needs no lock."""
        exported: State = json.loads(self._must("stack", "export").out)
        return exported

    def lock(self) -> str | None:
        """Who holds the lock, in the engine's words; None where nobody does.

        The engine has no command that shows it. A rename to the name that the stack has takes the lock, finds that a
        stack of the name is there, and ends without a change.
        """
        answer = self.run("stack", "rename", self.stack).text
        return "; ".join(re.findall(r"created by .+", answer)) or answer.strip() if _LOCKED in answer else None

    def unlock(self) -> None:
        """Take every lock off."""
        self._must("cancel", "--yes")

    def bring_in(self, resources: Sequence[Mapping[str, Any]], *, only_look: bool = False) -> Result:
        """Read resources from Azure into the state: entries of an import file, with URNs as parent and provider.

        `only_look` reads them and leaves the state as it is. What Azure has not makes the command fail, which does not
        keep the others out.
        """
        urns = {str(entry[key]) for entry in resources for key in ("parent", "provider") if key in entry}
        document = {"nameTable": {urn: urn for urn in sorted(urns)}, "resources": list(resources)}
        mode = ["--preview-only"] if only_look else ["--yes", "--skip-preview"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "import.json"
            file.write_text(json.dumps(document))
            flags = [*mode, "--generate-code=false", "--protect=false", *self._configuration()]
            return self.run("import", "--file", str(file), *flags)

    def refresh(self, urns: Sequence[str]) -> None:
        """Bring the state of some resources to what Azure has; what Azure has not leaves the state."""
        targets = [flag for urn in urns for flag in ("--target", urn)]
        self._must("refresh", "--yes", "--skip-preview", *targets, *self._configuration())

    def replace_state(self, state: State) -> None:
        """Write the stack's state. The engine checks it, and leaves pending operations out of it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(state))
            self._must("stack", "import", "--file", str(file))

    def run(self, *arguments: str) -> Result:
        """One command to its end. Ctrl-C lets it finish what is under way, and is raised then."""
        command = ["pulumi", *arguments, "--stack", self.stack, "--non-interactive", "--color=never"]
        pipe = subprocess.PIPE
        child = subprocess.Popen(
            command, cwd=self.repository, env=dict(self.environment), stdout=pipe, stderr=pipe, text=True
        )
        try:
            out, err = child.communicate()
        except KeyboardInterrupt:
            # The terminal has sent the signal to the engine as well, which ends in good order.
            child.communicate()
            raise
        return Result(child.returncode, out, out + err)

    def _must(self, *arguments: str) -> Result:
        result = self.run(*arguments)
        if result.code != 0:
            raise EngineError(
                f"`pulumi {' '.join(arguments[:2])}` of stack {self.stack} failed.\n{result.text.strip()}"
            )
        return result

    def _configuration(self) -> list[str]:
        return [] if self.config_file is None else ["--config-file", str(self.config_file)]


def living(lock: str) -> int | None:
    """The pid of an engine on this machine that holds the lock and is alive; None for a dead one or one elsewhere."""
    for host, pid in re.findall(r"@(\S+) \(pid (\d+)\)", lock):
        try:
            process = psutil.Process(int(pid))
            dead = process.status() == psutil.STATUS_ZOMBIE or "pulumi" not in process.name()
        except psutil.NoSuchProcess:
            continue
        if host == socket.gethostname() and not dead:
            return process.pid
    return None


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The user's environment, in which `pulumi` and this checkout's Python are found."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(engine_directory()), environ.get("PATH", "")])
    return {**environ, "PATH": path}
