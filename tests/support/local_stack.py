"""A local stack of the tests' own: free ports, a folder of its own, the real engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import urllib3
import yaml

from components.compute.local.supervisor import Supervisor, SupervisorError
from delivery.local.configuration import PROJECT, REPOSITORY, LocalStack
from delivery.local.status import processes
from delivery.stacks import LOCAL
from tests.support.answer import Answer
from tests.support.command_line import mlflow_platform
from tests.support.ports import first_of_free_ports
from tests.support.waiting import until

PORTS = 60
UP_SECONDS = 300


@dataclass(frozen=True)
class RunningStack:
    """The stack of one configuration file, driven by the command line as a user does."""

    config_file: Path

    @classmethod
    def configured(cls, folder: Path, **local: Any) -> RunningStack:
        """Write a configuration with free ports; nothing is started yet. `local` adds to its `local` object."""
        stack = cls(folder / f"Pulumi.{LOCAL}.yaml")
        stack.configure(
            local={"portBase": first_of_free_ports(PORTS), "stateDirectory": str(folder / "state"), **local}
        )
        return stack

    def configure(self, **values: Any) -> None:
        """Set configuration values, as an edit of the stack's file does."""
        document = yaml.safe_load(self.config_file.read_text()) if self.config_file.exists() else {"config": {}}
        document["config"] |= {f"{PROJECT}:{key}": value for key, value in {"profile": "local", **values}.items()}
        self.config_file.write_text(yaml.safe_dump(document))

    @property
    def local(self) -> LocalStack:
        return LocalStack.read(self.config_file)

    @property
    def url(self) -> str:
        return self.local.url

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.local.layout)

    def port(self, process: str) -> int:
        """The port of one process."""
        document = json.loads((self.local.layout.processes / f"{process}.json").read_text())
        return int(document["env"]["PORT"])

    def pid(self, process: str) -> int:
        return self.supervisor.pids()[process]

    def command(self, *arguments: str) -> list[str]:
        """A command of the local stack's command line."""
        return mlflow_platform(*arguments, "--config-file", str(self.config_file))

    def run(self, *arguments: str, timeout: float = UP_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False
        )

    def up(self, *, look_seconds: float = 0) -> None:
        """Bring it up without the smoke program. Ends with every process ready, at the first look.

        With clients at work a process may be too busy to answer the first one: `look_seconds` has more of them.
        """
        done = self.run("up", "--no-smoke")
        assert done.returncode == 0, done.stdout + done.stderr
        eventually(self._ready, look_seconds, f"the readiness of all after `up`: {done.stdout}")

    def smoke(self, *arguments: str) -> Any:
        """The document of a run of the smoke program that passed."""
        done = self.run("smoke", "--json", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A plain Pulumi command in the environment that `env` prints."""
        command = ["pulumi", *arguments, "--stack", LOCAL, "--non-interactive"]
        if arguments[0] in ("up", "preview", "refresh", "destroy"):
            command += ["--config-file", str(self.config_file)]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.local.environment(),
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )

    def log_entries(self, process: str, about: str = "") -> Iterator[dict[str, Any]]:
        """The JSON lines of a process's logs that hold a text, whole ones only. Most lines are of other tests."""
        for path in self.local.layout.logs.glob(f"{process}.log*"):
            for line in path.read_text(errors="replace").splitlines():
                if about in line and line.startswith("{") and line.endswith("}"):
                    yield json.loads(line)

    def ask(
        self,
        path: str,
        *,
        port: int | None = None,
        method: str | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """One request without retries: to the gateway, or to the port of a service around it."""
        base = self.url if port is None else f"http://127.0.0.1:{port}"
        # As MLflow's client does it: an answer that comes before the whole body was sent is an answer.
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                method or ("GET" if data is None else "POST"),
                base + path,
                body=data,
                headers=headers or {},
                timeout=timeout,
                retries=False,
                redirect=False,
            )
            received = Message()
            for name, value in answer.headers.items():
                received[name] = value
            return Answer(answer.status, received, answer.data)

    def call(self, path: str, body: Any | None = None) -> Any:
        """A JSON call of MLflow's REST API 2.0 through the gateway; the answer must be 200."""
        data = None if body is None else json.dumps(body).encode()
        answer = self.ask(f"/api/2.0/mlflow/{path}", data=data, headers={"Content-Type": "application/json"})
        assert answer.status == 200, (path, answer.status, answer.content)
        return answer.body

    def healthy(self) -> bool:
        """Whether every process is ready, and the gateway has noticed: it asks its upstreams once a second.

        It looks in this process: a test asks often, and a new interpreter takes longer than the answer.
        """
        if not self._ready():
            return False
        calls = ("experiments/search?max_results=1", "registered-models/search?max_results=1")
        # With access control a service asks who calls.
        return all(self.ask(f"/api/2.0/mlflow/{call}").status in (200, 401) for call in calls)

    def _ready(self) -> bool:
        rows = processes(self.local)
        return bool(rows) and all(row["ready"] for row in rows)


def eventually(condition: Callable[[], bool], seconds: float = 180, what: str = "it") -> None:
    """Wait for a condition; connection errors count as not yet."""
    not_yet = (OSError, KeyError, SupervisorError, urllib3.exceptions.HTTPError)
    # A look at a stack asks each of its processes, which takes the processors that they need to become ready.
    until(condition, what, seconds, not_yet=not_yet, pause=0.25)
