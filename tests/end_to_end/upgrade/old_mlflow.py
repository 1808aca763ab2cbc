"""Old versions of MLflow with an environment of their own each, and their servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mlflow_runtime.azure.blob_address import BlobAddress
from tests.support.plane import ARTIFACTS, REPOSITORY, get
from tests.support.services import Platform
from tests.support.waiting import until
from tools import cache, wheels
from tools.package_index import uv_arguments, uv_environment
from tools.steps import Report, run

_PYTHON = Path("bin/python")
# What its server needs here, and no newer than such a version was installed with in its time: the client of 2.22 loses
# the spans of a trace without a word under today's OpenTelemetry.
_BESIDES = (
    *("psycopg2-binary", "azure-storage-blob", "azure-identity", "sqlalchemy<2.1", "setuptools<80"),
    *("opentelemetry-sdk<1.34", "opentelemetry-api<1.34"),
)
_START_SECONDS = 180.0  # 3.10 loads for half a minute where two cores are busy
_OLD = Path(__file__).resolve().parent / "old"


def environment_of(version: str, report: Report) -> Path:
    """The Python of an environment with that version of MLflow, in the project's cache. About 900 MB and a minute."""
    uv = wheels.unpacked(REPOSITORY / "tools" / "uv.txt", essential="bin/uv", report=report) / "bin" / "uv"
    wanted = (f"mlflow=={version}", *_BESIDES)

    def make(staging: Path) -> None:
        environment, remedy = uv_environment(os.environ), "Check that pip reaches a package index."
        base: list[str | Path] = [
            uv,
            "venv",
            "--quiet",
            "--relocatable",
            "--python",
            sys.executable,
            "--allow-existing",
            staging,
        ]
        run(base, doing="making an environment", report=report, remedy=remedy, env=environment)
        python = staging / _PYTHON
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python, *uv_arguments(os.environ)]
        run([*install, *wanted], doing=f"installing MLflow {version}", report=report, remedy=remedy, env=environment)

    name = f"{version}-{cache.digest([*wanted, sys.version])}"
    return cache.ensure(cache.root() / "mlflow" / name, make, essential=["pyvenv.cfg"], report=report) / _PYTHON


@dataclass(frozen=True, kw_only=True)
class OldMlflow:
    """A version on a platform's databases and container, as the one who owns them."""

    version: str
    python: Path
    platform: Platform
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def serving(self, *, any_schema: bool = False) -> Iterator[None]:
        """Its own `mlflow server`. With `any_schema` it goes on opening stores on a newer schema, as our services do.

        Left alone, 3.10 answers 500 to the registration of a logged model from the moment of the migration on.
        """
        command: list[str | Path] = [
            *(self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "2"),
            *("--backend-store-uri", self._database("tracking"), "--registry-store-uri", self._database("registry")),
            *("--serve-artifacts", "--artifacts-destination", BlobAddress.parse(self.platform.container).wasbs),
        ]
        with self.log(any_schema=any_schema).open("wb") as output:
            process = subprocess.Popen(
                command,
                env=self._environment(ANY_SCHEMA="1" if any_schema else ""),
                cwd=self.platform.plane.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until(
                lambda: process.poll() is not None or self._answers(), f"MLflow {self.version} answers", _START_SECONDS
            )
            assert process.poll() is None, self.log(any_schema=any_schema).read_text()[-3000:]
            yield
        finally:
            # Its workers are processes of its session, and not all of them end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)

    def _answers(self) -> bool:
        try:
            return get(f"{self.url}/health")[0] == 200
        except OSError:
            return False

    def log(self, *, any_schema: bool) -> Path:
        """Where the server started so writes."""
        return self.platform.plane.folder / f"mlflow-{self.version}{'-any-schema' if any_schema else ''}.log"

    def client(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script of `old/` with this version's client; its standard input and output are pipes."""
        return subprocess.Popen(
            [self.python, _OLD / script, *arguments],
            env=self._environment(MLFLOW_TRACKING_URI=self.url, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"),
            cwd=self.platform.plane.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.platform.plane.folder / f"{script}.log").open("wb"),
            text=True,
        )

    def _database(self, name: str) -> str:
        plane = self.platform.plane
        query = f"host={quote(str(plane.sockets))}&port={plane.postgres_port}&options={quote('-c role=mlflow-prepare')}"
        return f"postgresql+psycopg2://postgres@/{name}?{query}"

    def _environment(self, **more: str) -> Mapping[str, str]:
        return {
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.platform.plane.folder),
            "PYTHONPATH": str(_OLD),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BLOB_ACCOUNT_URL": self.platform.container.rpartition("/")[0],
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "GIT_PYTHON_REFRESH": "quiet",
            **self.platform.plane.environment(ARTIFACTS),
            **more,
        }
