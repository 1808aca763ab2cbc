"""A proposal as a branch of the remote, and the page where its pull request is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from delivery.outcome import CommandError
from delivery.preview.differences import at
from delivery.preview.text import printable
from delivery.promote.proposal import Proposal
from delivery.promote.stack_files import Files
from delivery.repository import GitError, Repository


@dataclass(frozen=True, kw_only=True)
class Published:
    """A branch of the remote with the change: its commit, and whether it was pushed just now."""

    commit: str
    new: bool
    author: str


def publish(proposal: Proposal, repository: Repository, remote: str, onto: str) -> Published:
    """Push the change as a branch that the remote does not have. Raises CommandError if it has another one.

    The same change that is there already is the result of an earlier run, or of somebody who was faster.
    """
    tip = _tip(repository, remote, onto)
    for file, content in proposal.read.items():
        if repository.content(tip, file) != content:
            raise CommandError(
                f"{file}: {onto} of {remote} has another one since {proposal.base[:12]}; nothing was pushed. Run "
                "`git pull`, then the same again."
            )
    there = repository.fetch(remote, proposal.branch)
    if there is None:
        commit = repository.commit_with(proposal.base, proposal.path, proposal.after, proposal.message)
        if repository.push_new(remote, commit, proposal.branch):
            return Published(commit=commit, new=True, author="")
        there = _tip(repository, remote, proposal.branch)
    author = printable(repository.author(there))
    if not _is(repository, there, proposal):
        raise CommandError(
            f"branch {proposal.branch}: {remote} has it with another change, by {author}; nothing "
            f"was pushed. Merge or close its pull request, run `git push {remote} --delete {proposal.branch}`, and "
            "then the same again."
        )
    return Published(commit=there, new=False, author=author)


def base(repository: Repository, remote: str, onto: str, *, only_look: bool, notice: Callable[[str], None]) -> str:
    """Return the commit that a change is made on: the tip of the remote's branch.

    To look only, what is checked out does where the remote is out of reach.
    """
    try:
        return _tip(repository, remote, onto)
    except CommandError as error:
        if not only_look:
            raise
        notice(f"{error} Taking what is checked out.")
        return repository.resolved("HEAD")


def link(proposal: Proposal, files: Files, remote: str, onto: str) -> str:
    """Return where the pull request is opened, on GitHub or Azure DevOps; empty for another server."""
    github = at(files.stack(proposal.target).values, "github.repository", None)
    return compare_address(files.repository.address(remote) or "", str(github or ""), onto, proposal.branch)


def compare_address(address: str, github: str, onto: str, branch: str) -> str:
    """Return the page that opens a pull request. `github` is OWNER/NAME if the stack's file says so."""
    match = re.fullmatch(r"(?:https://(?:[^@/]*@)?|(?:ssh://)?git@)github\.com[:/](.+?)(?:\.git)?/?", address)
    if github or match:
        name = github or (match[1] if match else "")
        return f"https://github.com/{quote(name)}/compare/{quote(onto)}...{quote(branch)}?expand=1"
    for pattern in _AZURE_DEVOPS:
        if match := pattern.fullmatch(address):
            repository = "/".join(quote(part, safe="%") for part in match.group("organization", "project"))
            name = quote(match["name"], safe="%")
            ends = f"sourceRef={quote(branch, safe='')}&targetRef={quote(onto, safe='')}"
            return f"https://dev.azure.com/{repository}/_git/{name}/pullrequestcreate?{ends}"
    return ""


_AZURE_DEVOPS: Final = (
    re.compile(
        r"https://(?:[^@/]*@)?dev\.azure\.com/(?P<organization>[^/]+)/(?P<project>[^/]+)/_git/(?P<name>[^/]+)/?"
    ),
    re.compile(r"git@ssh\.dev\.azure\.com:v3/(?P<organization>[^/]+)/(?P<project>[^/]+)/(?P<name>[^/]+)/?"),
)


def _tip(repository: Repository, remote: str, branch: str) -> str:
    if repository.address(remote) is None:
        raise CommandError(f"--remote: got {remote!r}, which git does not have here; expected one of `git remote`.")
    tip = repository.fetch(remote, branch)
    if tip is None:
        raise CommandError(
            f"--onto: {remote} has no branch {branch!r}; expected the branch that stacks are deployed from."
        )
    return tip


def _is(repository: Repository, there: str, proposal: Proposal) -> bool:
    """Whether a commit is the proposal's change: the same file over the same file, not an older promotion's."""
    try:
        parent = repository.resolved(f"{there}^")
    except GitError:
        return False
    both = (repository.content(parent, proposal.path), repository.content(there, proposal.path))
    return both == (proposal.before, proposal.after)
