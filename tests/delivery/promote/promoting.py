"""A repository with a bare remote, two releases in it, and evidence that says what a test wants."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from components.mlflow import runtime_contract
from delivery.preview.reasons import Reason, Subject, Verdict
from delivery.preview.report import Report
from delivery.promote import release
from delivery.promote.evidence import Evidence
from delivery.promote.history import Update
from delivery.promote.lines import changed
from delivery.promote.release import Release
from delivery.promote.stack_files import Files
from delivery.repository import Repository
from mlflow_runtime.schema import versions
from tests.support.plane import REPOSITORY

PROJECT: Final = "mlflow-platform"
NOW: Final = datetime.now(UTC)
AUTHOR: Final = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
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
        versions.LABEL: of.mlflow,
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


def driver(checkout: Path) -> list[str]:
    """The command line of a process that promotes dev's release to staging with evidence by which it passes."""
    source = (
        "import sys; from pathlib import Path\n"
        "from delivery.outcome import CommandError\n"
        "from delivery.promote import command\n"
        "from delivery.promote.promotion import Request\n"
        "from tests.delivery.promote import promoting\n"
        "folder = Path(sys.argv[1])\n"
        "wanted = promoting.read_release(folder, 'dev')\n"
        "try:\n"
        "    sys.exit(command.run(Request(source='dev', target='staging'), [], folder=folder, "
        "found=promoting.evidence(wanted)))\n"
        "except CommandError as error:\n"
        "    sys.exit(str(error))\n"
    )
    return [sys.executable, "-c", source, str(checkout)]


def read_release(checkout: Path, stack: str) -> Release:
    """The release that a stack's file names in the work tree."""
    found = Files(repository=Repository(checkout), commit="HEAD").stack(stack).release
    assert found is not None
    return found


def environment(**more: str) -> Mapping[str, str]:
    """The variables of a process that imports the repository and its tests."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **more}
