"""The option by which commands find the local stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.local.configuration import LocalStack, own_file
from delivery.outcome import CommandError, ExitCode
from infra.settings.problems import SettingsError

ConfigFile = Annotated[
    Path,
    typer.Option(help="Stack configuration file.", show_default="stacks/Pulumi.local.yaml"),
]


def read(config_file: Path) -> LocalStack:
    """Return the stack of a configuration file. Refuses a path that is not a file, and what the program refuses."""
    if not config_file.is_file():
        raise CommandError(
            f"--config-file: {config_file} is not a file; expected a stack configuration file.", ExitCode.USAGE
        )
    try:
        return LocalStack.read(config_file)
    except SettingsError as error:
        advises = "`pulumi config " in str(error)
        raise CommandError(f"{error}{own_file(config_file) if advises else ''}") from error
