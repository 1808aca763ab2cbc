"""The recovery after a `pulumi up` that was killed in the middle, as a person runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delivery.offline_azure.running import REPOSITORY
from tests.support.command_line import mlflow_platform


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    notices: str

    @property
    def document(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def outcomes(self) -> dict[str, str]:
        return {one["name"]: one["outcome"] for one in self.document["operations"]}


def recover(stack: str, environment: Mapping[str, str], *options: str) -> Run:
    """`mlflow-platform recover` to its end, without a terminal."""
    done = subprocess.run(
        mlflow_platform("recover", stack, *options),
        cwd=REPOSITORY,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)
