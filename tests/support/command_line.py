"""The product's command line, as a user calls it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from delivery import cli
from delivery.pulumi.installation import REPOSITORY

PROGRAM: Final = str(Path(sys.executable).with_name("mlflow-platform"))


def mlflow_platform(*arguments: str) -> list[str]:
    """A command of the console script in this environment."""
    return [PROGRAM, *arguments]


def finding_the_checkout(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Python that finds the checkout in any folder, behind what it finds already."""
    path = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), str(REPOSITORY)]))
    return {**environment, "PYTHONPATH": path}


def parse(words: list[str]) -> None:
    """Have the command line read a command without running it; a word from a shell's variable is taken for 1.

    Raises what click raises for what it refuses.
    """
    command: Any = get_command(cli.app)
    context = command.make_context("", [], resilient_parsing=True)
    rest = [word if word[0] != "$" else "1" for word in words]
    while rest and hasattr(command, "get_command"):
        name, *rest = rest
        command = command.get_command(context, name)
        command = command.load() if hasattr(command, "load") else command
        nested = hasattr(command, "get_command")
        context = command.make_context(name, [] if nested else rest, parent=context, resilient_parsing=nested)
