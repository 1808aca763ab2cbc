"""A stack in a git repository of its own, with its state in a folder and an offline Azure for the real engine."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.apply.applying import DriftCheck
from delivery.apply.approved import run
from delivery.apply.command import Form
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.outcome import CommandError
from delivery.preview.command import computed
from delivery.preview.document import document
from delivery.preview.plan import FLAGS
from delivery.preview.report import Report, Source, report
from delivery.pulumi.engine import version
from delivery.recover.engine import Engine

STACK = "dev"


@dataclass(frozen=True)
class Run:
    """How an `up` ended: its exit code, its document (empty where it wrote none), and the error of a refusal."""

    code: int
    document: dict[str, Any]
    error: str


@dataclass(frozen=True)
class Stack:
    """The stack `dev` of a repository whose checkout is clean."""

    product: Product
    azure: Azure
    engine: Engine

    @property
    def repository(self) -> Path:
        return self.engine.repository

    @property
    def file(self) -> Path:
        return self.repository / "stacks" / f"Pulumi.{STACK}.yaml"

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository), "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=a change")

    def configure(self, **values: Any) -> None:
        """Commit other values in the stack's file."""
        self.product.configure(**values)
        self.file.write_text(self.product.config_file.read_text())
        self.commit()

    def preview(self) -> Report:
        """What `mlflow-platform preview` reports of the stack."""
        source = Source(head=self.git("rev-parse", "--short", "HEAD"), engine=version(self.engine.pulumi))
        return report(computed(self.engine.run("preview", *FLAGS), self.engine.stack), source)

    def saved(self, found: Report) -> Path:
        """A file beside the repository with the JSON of a report."""
        file = self.product.folder / f"{found.plan}.json"
        file.write_text(json.dumps(document(found)))
        return file

    def up(self, approved: str, **more: Any) -> Run:
        """`mlflow-platform up dev --approved ... --json`, in this process."""
        return up(self.engine, approved, **more)

    @property
    def writes(self) -> list[dict[str, Any]]:
        return [call for call in self.azure.calls() if call["operation"] != "read"]


def up(engine: Engine, approved: str, *, url: str = "", smoke: bool = True, drift: DriftCheck | None = None) -> Run:
    out = io.StringIO()
    error, code, stopped = "", -1, {}
    try:
        with contextlib.redirect_stdout(out):
            code = run(engine, approved, Form.JSON, smoke=smoke, url=url, drift=drift)
    except CommandError as raised:
        error, code, stopped = str(raised), raised.code, dict(raised.document)
    return Run(code, json.loads(out.getvalue() or "{}") or stopped, error)


@contextlib.contextmanager
def made(folder: Path, repository: Path, checks: Sequence[Any] = ()) -> Iterator[Stack]:
    """The stack of a repository, committed, with nothing on Azure yet."""
    azure = Azure(folder / "azure.json", checks=checks)
    server, port = serve(azure)
    management = ManagementApi(azure)
    try:
        product = Product(folder, STACK, port, management.url, repository=repository)
        engine = Engine(stack=STACK, config_file=None, environment=product.environment, repository=repository)
        stack = Stack(product, azure, engine)
        (repository / ".gitignore").write_text("__pycache__/\n.venv\n")
        stack.git("init", "--quiet")
        stack.configure()
        yield stack
    finally:
        server.stop(None)
        management.close()


def digest(stack: Stack) -> str:
    return str(yaml.safe_load(stack.file.read_text())["config"][f"{stack.product.project}:image"]["digest"])
