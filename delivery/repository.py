"""The git repository of a checkout: what is in it, and a commit that is made beside the checkout.

Nothing here touches the work tree, the index of the user or a branch of the checkout.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from delivery.outcome import CommandError


class GitError(CommandError):
    """A command of git failed. The message is its name and what it wrote to stderr."""


class MissingRevisionError(GitError):
    """What was named is no commit of the repository."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit: its id and the first line of its message."""

    id: str
    subject: str


@dataclass(frozen=True)
class Repository:
    """The repository whose top a folder is; paths are relative to it."""

    folder: Path

    def resolved(self, revision: str) -> str:
        """Return the whole id of a commit. Raises MissingRevisionError, also for what looks like an option."""
        try:
            found = self._text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitError:
            raise MissingRevisionError(f"{revision!r} is no revision of this repository") from None
        return found.strip()

    def differs(self, commit: str, path: str) -> bool:
        """Whether a file of the work tree is another one than in a commit, by what git would commit of it.

        `git diff` would write to the index what it saw of the files' times.
        """
        if not (self.folder / path).is_file():
            return True
        here = self._text("hash-object", f"--path={path}", "--", path)
        return here.strip() != self._text("rev-parse", f"{commit}:{path}").strip()

    def head(self) -> str:
        """Return the short id of what is checked out, with `+` where files differ; empty outside of a repository."""
        try:
            commit = self._text("rev-parse", "--short", "HEAD").strip()
            return f"{commit}+" if self.changed() else commit
        except GitError:
            return ""

    def changed(self) -> list[str]:
        """Return the files that differ from what is checked out, new ones too."""
        return [line[3:] for line in self._text("status", "--porcelain", "-z").split("\0") if line[2:3] == " "]

    def archive(self, commit: str) -> bytes:
        """Return every file of a commit as a tar archive."""
        return self._run("archive", "--format=tar", commit)

    def content(self, commit: str, path: str) -> bytes | None:
        """Return a file as it is in a commit, without any filter; None if the commit does not have it."""
        try:
            return self._run("cat-file", "blob", f"{commit}:{path}")
        except GitError:
            if self._text("ls-tree", commit, "--", path):
                raise
            return None

    def names(self, commit: str, folder: str) -> list[str]:
        """Return the names of what is in a folder of a commit."""
        lines = self._text("ls-tree", "--name-only", commit, f"{folder}/").splitlines()
        return [line.rpartition("/")[2] for line in lines]

    def has(self, commit: str) -> bool:
        """Whether the repository has a commit."""
        try:
            self._run("cat-file", "-e", f"{commit}^{{commit}}")
        except GitError:
            return False
        return True

    def contains(self, newer: str, older: str) -> bool:
        """Whether the history of a commit has another one, or is it."""
        return self._code("merge-base", "--is-ancestor", older, newer) == 0

    def between(self, older: str, newer: str) -> list[Commit]:
        """Return the commits that the history of the newer one has besides that of the older one, newest first."""
        return self._log(f"{older}..{newer}")

    def versions(self, commit: str, path: str) -> list[str]:
        """Return the commits of the first line of a history that changed a file, newest first."""
        return [one.id for one in self._log("--first-parent", commit, "--", path)]

    def last_change(self, commit: str, path: str) -> str:
        """Return the newest commit, of any line of a history, that changed a file itself; empty if there is none."""
        return self._text("log", "-1", "--no-merges", "--format=%H", commit, "--", path).strip()

    def trailers(self, commit: str) -> dict[str, str]:
        """Return the trailers of a commit's message by their names; of several with one name the last."""
        lines = self._text("log", "-1", "--format=%(trailers:only,unfold)", commit).splitlines()
        return {name: value.strip() for name, separator, value in (line.partition(":") for line in lines) if separator}

    @property
    def shallow(self) -> bool:
        """Whether the repository lacks the beginning of its history."""
        return self._text("rev-parse", "--is-shallow-repository").strip() == "true"

    def address(self, remote: str) -> str | None:
        """Return the address of a remote; None if there is no remote of the name."""
        try:
            return self._text("remote", "get-url", "--push", "--", remote).strip()
        except GitError:
            return None

    def fetch(self, remote: str, branch: str) -> str | None:
        """Bring what a branch of a remote is now, and return its commit; None if the remote has no such branch."""
        reference = f"refs/heads/{branch}"
        line = self._text("ls-remote", "--quiet", "--", remote, reference)
        commit = line.split("\t")[0] if line else ""
        if commit and not self.has(commit):
            # By its name, not its id: not every server gives out what it is asked for by id.
            self._run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, reference)
        return commit or None

    def commit_with(self, parent: str, path: str, content: bytes, message: str) -> str:
        """Return a new commit on top of another one in which a file has another content. No branch names it."""
        mode = (self._text("ls-tree", parent, "--", path) or "100644").split(" ")[0]
        blob = self._run("hash-object", "-w", "--stdin", given=content).decode().strip()
        with tempfile.TemporaryDirectory(prefix="mlflow-platform-index-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._run("read-tree", parent, environment=index)
            self._run("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", environment=index)
            tree = self._run("write-tree", environment=index).decode().strip()
        made = self._run("commit-tree", tree, "-p", parent, "-F", "-", given=message.encode())
        return made.decode().strip()

    def author(self, commit: str) -> str:
        """Return who made a commit, by name."""
        return self._text("log", "-1", "--format=%an", commit).strip()

    def push_new(self, remote: str, commit: str, branch: str) -> bool:
        """Push a commit as a branch that the remote does not have yet; return False if it has one meanwhile."""
        reference = f"refs/heads/{branch}"
        lease = f"--force-with-lease={reference}:"
        try:
            answer = self._text("push", "--porcelain", lease, "--", remote, f"{commit}:{reference}")
        except GitError:
            if self.fetch(remote, branch) is not None:
                return False
            raise
        # Up to date: somebody else pushed the same commit, made in the same second.
        return not any(line.startswith("=") for line in answer.splitlines())

    def _log(self, *arguments: str) -> list[Commit]:
        records = self._text("log", "--no-show-signature", "--format=%H%x00%s%x01", *arguments).split("\x01")
        fields = [record.strip("\n").split("\0") for record in records if record.strip("\n")]
        return [Commit(id=identifier, subject=subject) for identifier, subject in fields]

    def _text(self, *arguments: str) -> str:
        return self._run(*arguments).decode(errors="replace")

    def _run(self, *arguments: str, given: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        done = self._start(arguments, given, environment)
        if done.returncode != 0:
            raise GitError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def _code(self, *arguments: str) -> int:
        return self._start(arguments).returncode

    def _start(
        self, arguments: Sequence[str], given: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-C", str(self.folder), "--literal-pathspecs", *arguments]
        variables = {**_environment(os.environ), **sign_in(os.environ), **(environment or {})}
        try:
            return subprocess.run(command, input=given, capture_output=True, check=False, env=variables)
        except FileNotFoundError:
            raise GitError("git: the program is not found; install it.") from None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process less those that git hands to its hooks, which name another repository or index.

    Without optional locks nothing writes to the user's index, not even what git remembers of the files' times.
    """
    return {name: value for name, value in environ.items() if name not in _OF_HOOKS} | {"GIT_OPTIONAL_LOCKS": "0"}


def sign_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which git is signed in to a workflow's or pipeline's own server, with the step's token.

    So the token is in no file and on no command line (git-config, GIT_CONFIG_COUNT; GitHub Docs, "Authenticating as an
    installation": the name that goes with a token; Azure DevOps, "Run Git commands in a script": the bearer token).
    """
    server, token = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_TOKEN", "")
    collection, pipeline = environ.get("SYSTEM_COLLECTIONURI", ""), environ.get("SYSTEM_ACCESSTOKEN", "")
    if server.startswith("https://") and token:
        signed = f"Basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}"
    elif collection.startswith("https://") and pipeline:
        server, signed = collection.rstrip("/"), f"Bearer {pipeline}"
    else:
        return {}
    count = int(environ.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{server}/.extraheader",
        f"GIT_CONFIG_VALUE_{count}": f"Authorization: {signed}",
    }


_OF_HOOKS: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}
)
