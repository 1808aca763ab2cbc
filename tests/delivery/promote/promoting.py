"""A repository with a bare remote, two releases in it, and evidence that says what a test wants."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from components.mlflow import runtime_contract
from delivery.outcome import CommandError
from delivery.preview.reasons import Reason, Subject, Verdict
from delivery.preview.report import Report
from delivery.promote import command, release
from delivery.promote.command import Way
from delivery.promote.evidence import Evidence
from delivery.promote.history import Update
from delivery.promote.lines import changed
from delivery.promote.promotion import Request
from delivery.promote.release import Release
from delivery.promote.stack_files import Files
from delivery.repository import Repository
from mlflow_runtime.schema.versions import LABEL as MLFLOW_LABEL
from tests.support.plane import REPOSITORY

PROJECT: Final = "mlflow-platform"
NOW: Final = datetime.now(UTC)
AUTHOR: Final = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
PATIENCE_SECONDS: Final = 120
SCHEMAS: Final = {"3.16.1": "b7e2c1a4d9f3", "3.17.2": "dc11669786a5"}


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person who is somebody; return what it prints."""
    done = subprocess.run(["git", "-C", str(folder), *AUTHOR, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def written(folder: Path) -> Path:
    """Make a checkout of the stacks' files with a bare remote, whose branch main it has, and return it."""
    checkout = folder / "checkout"
    (checkout / "stacks").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Pulumi.yaml", checkout)
    for stack in ("local", "dev", "staging", "prod"):
        shutil.copy(REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml", checkout / "stacks")
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "config", "user.name", "Ada")
    git(checkout, "config", "user.email", "ada@example.com")
    git(checkout, "remote", "add", "origin", str(folder / "remote.git"))
    committed(checkout, "The stacks")
    return checkout


def committed(checkout: Path, subject: str) -> str:
    """Commit and push everything that is changed; return the commit."""
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--allow-empty", f"--message={subject}")
    git(checkout, "push", "--quiet", "origin", "main")
    return git(checkout, "rev-parse", "HEAD")


def a_release(checkout: Path, digit: str, mlflow: str = "3.17.2") -> Release:
    """A release that is built from what is checked out."""
    return Release(
        digest=f"sha256:{digit * 64}",
        commit=git(checkout, "rev-parse", "HEAD"),
        mlflow=mlflow,
        schema=SCHEMAS[mlflow],
        contract=runtime_contract.CONTRACT,
    )


def set_release(checkout: Path, stack: str, wanted: Release) -> str:
    """Write a release into a stack's file, commit and push it."""
    file = checkout / "stacks" / f"Pulumi.{stack}.yaml"
    file.write_bytes(changed(file.read_bytes(), wanted.values(PROJECT)))
    return committed(checkout, f"{stack}: {wanted.short}")


def labels(of: Release) -> dict[str, str]:
    return {
        release.REVISION_LABEL: of.commit,
        MLFLOW_LABEL: of.mlflow,
        runtime_contract.LABEL: str(of.contract),
    }


def update(of: Release, *, hours: float = 48, **more: Any) -> Update:
    """An update of a stack to a release, that many hours ago."""
    values = {"image": {"digest": of.digest, "commit": of.commit}}
    known: dict[str, Any] = {
        "kind": "update",
        "result": "succeeded",
        "message": "",
        "ended": NOW - timedelta(hours=hours),
        "commit": of.commit,
        "clean": True,
        "values": values,
    }
    return Update(**{**known, **more})


def reasons(words: str) -> list[Reason]:
    """The reasons of a preview that is refused."""
    return [Reason(subject=Subject.STATE, verdict=Verdict.REFUSED, headline="refused", phrase=[words])]


def report(verdict: Verdict = Verdict.ROUTINE, reasons: Any = ()) -> Report:
    """A preview's report as far as a promotion looks at it."""
    return Report(
        stack="staging",
        verdict=verdict,
        title=["10 updates"],
        reasons=reasons,
        rows=(),
        fixed=(),
        unchanged=(),
        changes=(),
        counts={},
        resources=0,
        unknowns=0,
        awaiting=0,
        plan="",
    )


def evidence(of: Release, **more: Any) -> Evidence:
    """Evidence by which a release passes every gate, but for what a test says otherwise."""
    good = Evidence(
        updates=lambda _: [update(of)],
        pending=lambda _: [],
        preview=lambda _: report(),
        labels=lambda _: labels(of),
        builds=lambda _: 2,
        smoke=lambda _, __: True,
        alerts=lambda _, __: [],
        drift=lambda _: [],
        in_registry=lambda _, __: True,
    )
    return replace(good, **more)


def remote_branches(checkout: Path) -> list[str]:
    listed = git(checkout, "ls-remote", "--heads", "origin").splitlines()
    return sorted(line.partition("refs/heads/")[2] for line in listed)


def local_state(checkout: Path) -> dict[str, bytes]:
    """All that a user has here: files, index, branches and what is checked out."""
    files = {
        str(path.relative_to(checkout)): path.read_bytes()
        for path in sorted(checkout.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(checkout).parts
    }
    index = (checkout / ".git" / "index").read_bytes()
    branches = git(checkout, "for-each-ref", "refs/heads", "refs/tags").encode()
    return {**files, "index": index, "branches": branches, "head": (checkout / ".git" / "HEAD").read_bytes()}


class Promoting:
    """A process of its own that promotes dev's release to staging, with evidence by which it passes every gate.

    It is a copy of this one, which has imported everything already.
    """

    def __init__(self, checkout: Path, output: Path, variables: Mapping[str, str] | None = None) -> None:
        self._output = output
        wanted = evidence(read_release(checkout, "dev"))
        arguments = (checkout, wanted, output, dict(variables or {}))
        self._process = multiprocessing.get_context("fork").Process(target=_promote, args=arguments)
        self._process.start()

    def ended(self) -> tuple[int | None, str]:
        """Wait for its end; return its exit code, negative for a signal, and what it wrote to stderr."""
        self._process.join(PATIENCE_SECONDS)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
        return code, self._output.read_text()


def _promote(checkout: Path, wanted: Evidence, output: Path, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    with output.open("w", buffering=1) as said, redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            code = command.run(Request(source="dev", target="staging"), [], Way(folder=checkout), wanted)
        except CommandError as error:
            code = error.code
            said.write(f"{error}\n")
    os._exit(code)


def read_release(checkout: Path, stack: str) -> Release:
    """The release that a stack's file names in the work tree."""
    found = Files(repository=Repository(checkout), commit="HEAD").stack(stack).release
    assert found is not None
    return found
