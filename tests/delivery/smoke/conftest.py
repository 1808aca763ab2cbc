"""One stock MLflow server with a user's data on it, and the smoke program as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.smoke.server import Server, stock_server
from tests.support.command_line import finding_the_checkout, mlflow_platform

Smoke = Callable[..., "Finished"]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How the program ended."""

    code: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        parsed: dict[str, Any] = json.loads(self.output)
        return parsed

    @property
    def states(self) -> dict[str, str]:
        """State of each step."""
        return {step["name"]: step["state"] for step in self.document["steps"]}

    def detail(self, name: str) -> str:
        """Detail of the step of that name."""
        return next(str(step["detail"]) for step in self.document["steps"] if step["name"] == name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which a user already has an experiment, a run with a file, a model, a prompt and a trace."""
    with stock_server(tmp_path_factory.mktemp("mlflow")) as running:
        _users_day(running.url)
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the program, in an empty working folder and with an empty home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()

    def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = finding_the_checkout(os.environ) | {"HOME": str(tmp_path / "home")} | variables
        return subprocess.Popen(
            mlflow_platform("smoke", *arguments),
            cwd=tmp_path / "work",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture
def smoke(start: Callable[..., subprocess.Popen[str]]) -> Smoke:
    """Runs the program to its end."""
    return lambda *arguments, **variables: finish(start(*arguments, **variables))


def finish(process: subprocess.Popen[str]) -> Finished:
    """Waits for the program, whose own time-outs are shorter than this one."""
    try:
        output, errors = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    return Finished(code=process.returncode, output=output, errors=errors)


_USERS_DAY = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("smoke")
with mlflow.start_run(run_name="mine") as run:
    mlflow.log_param("depth", 3)
    mlflow.log_metric("curve_9", 0.5)
    mlflow.log_text("my notes", "notes/first plan.txt")
client = mlflow.MlflowClient()
client.create_registered_model("smoke-model")
client.create_model_version("smoke-model", run.info.artifact_uri, run.info.run_id)
client.set_registered_model_alias("smoke-model", "champion", "1")
client.register_prompt("smoke-prompt", "Hello {{name}}")
with mlflow.start_span("answer"):
    pass
mlflow.flush_trace_async_logging()
"""


def _users_day(url: str) -> None:
    # A process of its own: the client keeps the experiment and the active run in the process.
    subprocess.run([sys.executable, "-c", _USERS_DAY, url], check=True, capture_output=True)
