"""A program of the tests' own, driven by the real engine against an offline Azure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from delivery.local_stack.configuration import engine_directory

REPOSITORY: Final = Path(__file__).resolve().parents[2]
NO_CHANGES_EXPECTED: Final = 7
"""Exit code of the engine when something would change and `--expect-no-changes` was given."""


@dataclass(frozen=True)
class Result:
    code: int
    text: str


@dataclass(frozen=True)
class Program:
    """A Pulumi project in a folder. Values are given to it as configuration keys, without secrets."""

    folder: Path
    provider_port: int

    @classmethod
    def written(cls, folder: Path, source: str, provider_port: int) -> Program:
        project = folder / "project"
        project.mkdir()
        (folder / "state").mkdir()
        (project / "Pulumi.yaml").write_text("name: offline\nruntime: python\n")
        (project / "__main__.py").write_text(source)
        program = cls(folder, provider_port)
        result = program.run("stack", "init", "test")
        if result.code != 0:
            raise AssertionError(result.text)
        return program

    def run(self, *arguments: str) -> Result:
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(engine_directory()), os.environ["PATH"]]),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "1",
            "PULUMI_DEBUG_PROVIDERS": f"azure-native:{self.provider_port}",
            "PYTHONPATH": str(REPOSITORY),
        }
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder / "project",
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout)

    def configure(self, **values: Any) -> None:
        for key, value in values.items():
            result = self.run("config", "set", key, json.dumps(value) if not isinstance(value, str) else value)
            if result.code != 0:
                raise AssertionError(result.text)

    def up(self) -> Result:
        return self.run("up", "--yes", "--skip-preview", "--stack=test")

    def preview(self, *arguments: str) -> Result:
        return self.run("preview", "--stack=test", *arguments)

    def destroy(self) -> Result:
        return self.run("destroy", "--yes", "--skip-preview", "--stack=test")
