"""The real engine in a folder of its own, against an offline Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from delivery.local.configuration import engine_directory

REPOSITORY: Final = Path(__file__).resolve().parents[2]
NO_CHANGES_EXPECTED: Final = 7
"""Exit code of the engine when something would change and `--expect-no-changes` was given."""

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
