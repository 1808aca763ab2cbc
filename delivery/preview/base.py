"""The repository as it was at a revision, for as long as a `with` statement lasts; the checkout stays as it is."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from delivery.outcome import CommandError, ExitCode

_VENV: Final = ".venv"


@contextmanager
def checked_out(repository: Path, revision: str) -> Iterator[Path]:
    """A folder with every file of a revision, and the repository's virtual environment: its dependencies are today's.

    Raises CommandError for what is no revision.
    """
    commit = resolved(repository, revision)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-base-") as folder:
        archive = _git(repository, "archive", "--format=tar", commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        environment = repository / _VENV
        if environment.exists():
            (Path(folder) / _VENV).symlink_to(environment, target_is_directory=True)
        yield Path(folder)


def resolved(repository: Path, revision: str) -> str:
    """The commit's whole id. Raises CommandError for what is no revision, also for what looks like an option."""
    try:
        found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except CommandError:
        raise CommandError(
            f"--against: {revision!r} is no revision of this repository; give a branch, a tag or a commit, such as "
            "HEAD or origin/main.",
            ExitCode.USAGE,
        ) from None
    return found.decode().strip()


def head(repository: Path) -> str:
    """The short id of what is checked out, with `+` where files differ from it; empty outside of a repository."""
    try:
        commit = _git(repository, "rev-parse", "--short", "HEAD").decode().strip()
        return f"{commit}+" if changed(repository) else commit
    except CommandError:
        return ""


def changed(repository: Path) -> list[str]:
    """The files that differ from what is checked out, new ones too. Raises CommandError outside of a repository."""
    lines = _git(repository, "status", "--porcelain", "-z").decode(errors="replace").split("\0")
    return [line[3:] for line in lines if line[2:3] == " "]


def _git(repository: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise CommandError("git: the program is not found; install it, or leave --against out.") from None
    if done.returncode != 0:
        raise CommandError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
