"""Where the local stack is, read from its configuration file, and the environment in which Pulumi works on it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.compute.local.layout import Layout
from components.compute.local.processes import HOST
from delivery.pulumi.installation import REPOSITORY as REPOSITORY
from delivery.pulumi.installation import file_backend
from delivery.pulumi.project import own_values
from delivery.stacks import LOCAL
from infra.settings import stack_file
from infra.settings.access import AccessMode, AccessPart
from infra.settings.fields import keys
from infra.settings.local import LocalPart
from infra.settings.problems import Problems
from infra.settings.reading import read

PROJECT = "mlflow-platform"
CONFIG_FILE = REPOSITORY / "stacks" / f"Pulumi.{LOCAL}.yaml"


class _Part(LocalPart, AccessPart):
    """What the commands read of a local stack's file."""


@dataclass(frozen=True)
class LocalStack:
    """One local stack: its configuration file decides on its folder, its ports, and who is let in.

    `values` are all of the file's own.
    """

    config_file: Path
    root: Path
    port: int
    mode: AccessMode = AccessMode.NONE
    teams: Sequence[str] = ()
    quotas: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, config_file: Path) -> LocalStack:
        """Return the stack of a configuration file, by the program's own reader of these parts.

        Raises SettingsError for values that the program refuses there, and for the file of a stack on Azure: an `up`
        or a `destroy` with it would work on this machine's stack by another one's values.
        """
        values = _values(config_file)
        problems = Problems(LOCAL, values)
        if values.get("profile", LOCAL) != LOCAL:
            problems.note(
                "profile",
                values["profile"],
                f"{LOCAL}, as these commands work on this machine's stack",
                f"give a local stack's file, such as {CONFIG_FILE.relative_to(REPOSITORY)}, to --config-file",
            )
            problems.finish()
        part = read(problems, _Part, {}, {key: value for key, value in values.items() if key in keys(_Part)})
        problems.finish()
        found = part.local
        # Resolved as the program does it: names are made of it, such as that of the folder for sockets.
        return cls(
            config_file.resolve(),
            (REPOSITORY / found.state_directory).resolve(),
            found.port_base,
            part.access.mode,
            part.teams,
            part.quotas,
            values,
        )

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def backend(self) -> Path:
        """The folder of the stack's Pulumi state."""
        return self.root / "pulumi"

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://{HOST}:{self.port}"

    def exports(self) -> dict[str, str]:
        """What plain `pulumi` commands need to find the engine, the state and this checkout's Python."""
        return file_backend(home=self.root / "pulumi-home", state=self.backend)

    def environment(self) -> dict[str, str]:
        """The exports on top of this process's environment, with the folders that they name."""
        self.backend.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.environ | self.exports()


def own_file(config_file: Path) -> str:
    """Return what to say below the program's remedies for another file than the usual one, which they would change."""
    if config_file.resolve() == CONFIG_FILE:
        return ""
    option = shlex.join(["--config-file", str(config_file)])
    return f"\nThe stack's file is {config_file}: give each `pulumi config` above the option `{option}`."


def _values(config_file: Path) -> Mapping[str, Any]:
    """Return the project's values of a configuration file. Raises SettingsError."""
    return own_values(stack_file.read(config_file), PROJECT)
