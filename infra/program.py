"""The program: settings -> what a stack stands on -> MLflow -> outputs."""

from __future__ import annotations

import pulumi

from components.mlflow.platform import Platform
from infra import local, outputs
from infra.azure import program as azure
from infra.settings.load import load
from infra.settings.problems import SettingsError


def main() -> None:
    """Describe the stack. Bad configuration ends it before anything is created."""
    try:
        chosen = load()
        stack = local.describe(chosen) if chosen.azure is None else azure.describe(chosen, chosen.azure)
    except SettingsError as error:
        # RunError is shown to the user as it is, without a traceback.
        raise pulumi.RunError(str(error)) from None

    platform = Platform("mlflow", stack.platform) if stack.platform else None
    outputs.export(chosen, stack, platform)
