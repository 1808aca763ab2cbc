"""The engine's commands that a recovery is made of, run from the repository's root in the user's own environment."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from delivery.pulumi import engine
from delivery.pulumi.engine import EngineError, Result
from delivery.pulumi.installation import REPOSITORY

__all__ = ["Engine", "EngineError", "Result", "State"]

State = dict[str, Any]

_LOCKED: Final = "currently locked by"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """`pulumi` for one stack. `config_file` is the stack's file if it is not the one in the project's folder."""

    stack: str
    config_file: Path | None
    environment: Mapping[str, str]
    repository: Path = REPOSITORY

    def state(self) -> State:
        """Return the stack's state as the engine exports it: secrets stay encrypted. Needs no lock."""
        exported: State = json.loads(self.pulumi.must("stack", "export").out)
        return exported

    def lock(self) -> str | None:
        """Return who holds the lock, in the engine's words; None if nobody does.

        The engine has no command that shows it. A rename to the name that the stack has takes the lock, finds that a
        stack of the name is there, and ends without a change.
        """
        answer = self.run("stack", "rename", self.stack).text
        return "; ".join(re.findall(r"created by .+", answer)) or answer.strip() if _LOCKED in answer else None

    def unlock(self) -> None:
        """Take every lock off."""
        self.pulumi.cancel()

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
        self.pulumi.must("refresh", "--yes", "--skip-preview", *targets, *self._configuration())

    def replace_state(self, state: State) -> None:
        """Write the stack's state. The engine checks it, and leaves pending operations out of it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(state))
            self.pulumi.must("stack", "import", "--file", str(file))

    def run(self, *arguments: str) -> Result:
        """Run one command to its end. Ctrl-C lets it finish what is under way, and is raised then."""
        return self.pulumi.run(*arguments)

    @property
    def pulumi(self) -> engine.Engine:
        """The engine itself, whose commands are all on this stack."""
        return engine.Engine(folder=self.repository, environment=self.environment, options=("--stack", self.stack))

    def _configuration(self) -> list[str]:
        return [] if self.config_file is None else ["--config-file", str(self.config_file)]
