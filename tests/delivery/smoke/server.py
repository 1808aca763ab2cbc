"""A stock MLflow server and what it holds, for the tests of the smoke program."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient

from tests.support.ports import free_port
from tests.support.waiting import until

START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it is, and where it keeps the artifacts."""

    url: str
    artifacts: Path

    def holdings(self) -> dict[str, Any]:
        """Everything that a user can find: experiments with runs, traces and logged models; the registry; files."""
        client = MlflowClient(self.url, self.url)
        experiments = {item.experiment_id: dict(item) for item in client.search_experiments()}
        ids = list(experiments)
        return {
            "experiments": experiments,
            "runs": [item.to_dictionary() for item in client.search_runs(ids)],
            "traces": [item.info.trace_id for item in client.search_traces(locations=ids, include_spans=False)],
            "logged models": [item.model_id for item in client.search_logged_models(ids)],
            "registered models": [(m.name, m.aliases, m.tags) for m in client.search_registered_models()],
            "prompts": [(p.name, p.tags) for p in client.search_prompts()],
            "versions": [(v.name, v.version, v.current_stage) for v in client.search_model_versions()],
            "files": {
                str(path.relative_to(self.artifacts)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(self.artifacts.rglob("*"))
                if path.is_file()
            },
            "folders": sorted(str(p.relative_to(self.artifacts)) for p in self.artifacts.rglob("*") if p.is_dir()),
        }


@contextmanager
def stock_server(folder: Path) -> Iterator[Server]:
    """`mlflow server` on SQLite with one worker, until the block ends."""
    port, artifacts = free_port(), folder / "artifacts"
    artifacts.mkdir()
    arguments = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(artifacts)),
    ]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield Server(url=url, artifacts=artifacts)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: the server and its one worker
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def healthy() -> bool:
        assert process.poll() is None, f"no MLflow server at {url}:\n{log.read_text()[-2000:]}"
        return requests.get(f"{url}/health", timeout=2).ok

    until(healthy, f"the server at {url} is healthy, see {log}", START_SECONDS, not_yet=(requests.RequestException,))
