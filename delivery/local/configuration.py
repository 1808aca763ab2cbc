"""Where the local stack is, read from its configuration file, and the environment in which Pulumi works on it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.compute.local.layout import Layout
from components.compute.local.processes import HOST

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = "mlflow-platform"
STACK = "local"
CONFIG_FILE = REPOSITORY / "stacks" / f"Pulumi.{STACK}.yaml"
ENGINE = REPOSITORY / "tools" / "pulumi" / "engine.py"

_DEFAULT_DIRECTORY = ".local"
_DEFAULT_PORT = 5500


@dataclass(frozen=True)
class LocalStack:
    """One local stack: its configuration file decides on its folder and its ports."""

    config_file: Path
    root: Path
    port: int

    @classmethod
    def read(cls, config_file: Path) -> LocalStack:
        """From a stack configuration file. What is wrong in it is said by the program, not here."""
        document = yaml.safe_load(config_file.read_text()) or {}
        local: Mapping[str, Any] = (document.get("config") or {}).get(f"{PROJECT}:local") or {}
        root = REPOSITORY / str(local.get("stateDirectory", _DEFAULT_DIRECTORY))
        return cls(config_file.resolve(), root, int(local.get("portBase", _DEFAULT_PORT)))

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
        """What plain `pulumi` commands need to find the engine, the state and this checkout's Python.

        The passphrase is empty on purpose: neither the configuration nor the state of a local stack holds a secret.
        """
        engine = engine_directory()
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(engine), os.environ.get("PATH", "")]),
            "PULUMI_HOME": str(self.root / "pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_PYTHON_CMD": sys.executable,
        }

    def environment(self) -> dict[str, str]:
        """The exports on top of this process's environment, with the folders that they name."""
        self.backend.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.environ | self.exports()


def shell(exports: Mapping[str, str]) -> str:
    """Lines for a POSIX shell's `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())


def engine_directory() -> Path:
    """The folder of a working `pulumi`; installs it when there is none yet."""
    found = subprocess.run([sys.executable, str(ENGINE)], check=True, stdout=subprocess.PIPE, text=True)
    return Path(found.stdout.strip().splitlines()[-1])
