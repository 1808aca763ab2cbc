"""The real engine in a folder of its own, against an offline Azure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from delivery.pulumi.engine import Engine, EngineError, Result
from delivery.pulumi.installation import REPOSITORY, file_backend
from tools.kubernetes import programs

__all__ = ["NO_CHANGES_EXPECTED", "REPOSITORY", "WRITTEN_ONCE", "Result", "engine", "engine_environment", "must"]

NO_CHANGES_EXPECTED: Final = 7
"""Exit code of the engine when something would change and `--expect-no-changes` was given."""

WRITTEN_ONCE: Final[Mapping[str, str]] = {"PULUMI_SKIP_CHECKPOINTS": "true"}
"""Makes the engine write the state once, at its end, and not twice for each resource: a third of an `up`.

Only for an engine that nobody kills: what a killed one did is nowhere then.
"""

# What a user's own session sets for the engine, for Azure and for a stack's key would lead away from the offline ones.
_OF_USER: Final = ("PULUMI_", "AZURE_", "ARM_", "IDENTITY_", "MSI_", "VAULT_")


def engine_environment(folder: Path, provider_port: int) -> dict[str, str]:
    """The variables by which `pulumi` keeps everything in the folder and takes the provider on the port for Azure's."""
    (folder / "state").mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OF_USER)}
    found = file_backend(home=folder / "home", state=folder / "state")
    # Offline the engine fetches no provider: a stack on AKS is previewed with the one that was built here.
    if (kubernetes := programs.provider()) is not None:
        found["PATH"] += f"{os.pathsep}{kubernetes}"
    return {
        **inherited,
        **found,
        "PULUMI_ERROR_OUTPUT_STRING": "1",
        "PULUMI_DEBUG_PROVIDERS": f"azure-native:{provider_port}",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def engine(*arguments: str, folder: Path, environment: Mapping[str, str], timeout: float = 300) -> Result:
    """Run `pulumi` in a project's folder to its end; the text is all that it printed. `timeout` is in seconds."""
    return Engine(folder=folder, environment=environment).run(*arguments, timeout=timeout)


def must(result: Result) -> Result:
    """The result of a command that has to succeed. Raises EngineError with what it printed."""
    if result.code != 0:
        raise EngineError(result.text)
    return result
