"""The repository as it was at a revision, for as long as a `with` statement lasts; the checkout stays as it is."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from delivery.outcome import CommandError, ExitCode
from delivery.repository import MissingRevisionError, Repository

_VENV: Final = ".venv"


@contextmanager
def checked_out(repository: Path, revision: str) -> Iterator[Path]:
    """A folder with every file of a revision, and the repository's virtual environment: its dependencies are today's.

    Raises CommandError for what is no revision.
    """
    git = Repository(repository)
    commit = _resolved(git, revision)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-base-") as folder:
        archive = git.archive(commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        environment = repository / _VENV
        if environment.exists():
            (Path(folder) / _VENV).symlink_to(environment, target_is_directory=True)
        yield Path(folder)


def _resolved(git: Repository, revision: str) -> str:
    try:
        return git.resolved(revision)
    except MissingRevisionError as error:
        raise CommandError(
            f"--against: {error}; give a branch, a tag or a commit, such as HEAD or origin/main.", ExitCode.USAGE
        ) from None
