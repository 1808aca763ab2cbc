"""What a promotion needs of the git server on which its branch becomes a pull request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """The newest pull request of a branch: its page, and whether it is open, or was closed without a merge."""

    address: str
    is_open: bool
    is_refused: bool


class Server(Protocol):
    """A repository of GitHub or of Azure DevOps."""

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the newest pull request of a branch, closed ones too."""

    def open_pull_request(self, title: str, body: str, *, branch: str, onto: str) -> str:
        """Open one; return its page. Raises CommandError where the server refuses it."""
