"""The operating system's user that PostgreSQL runs as. It refuses to be root.

An ordinary user runs it as itself. For root it runs as `nobody`, which exists everywhere, so nothing is added to the
machine. `nobody` cannot enter folders such as /root, where a clone and its environment may be. Then it gets the one
capability that lets it, rather than others getting a way into those folders.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """Who runs the server. `prefix` goes in front of a command, `signs_in` may be superuser over the socket."""

    uid: int
    gid: int
    prefix: tuple[str, ...]
    signs_in: str

    def own(self, path: Path) -> None:
        """Give a folder and all in it to this account, if it is not its own already. Only root can."""
        if path.lstat().st_uid == self.uid:
            return
        if os.geteuid() != 0:
            raise PermissionError(
                f"{path} belongs to user id {path.lstat().st_uid}, this is {self.uid}; run as the user who made it, "
                "or remove it."
            )
        # The folder itself last: it is the mark that all is done.
        for entry in (*path.rglob("*"), path):
            os.lchown(entry, self.uid, self.gid)


def account(needed: Iterable[Path]) -> Account:
    """The account to run as. `needed` are files, and folders of its own, that it has to reach."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError as error:
        raise PermissionError(
            f"User id {user} has no name on this machine, and PostgreSQL's initdb needs one; "
            "run as a user that /etc/passwd knows."
        ) from error
    if user != 0:
        return Account(user, os.getegid(), (), name)
    entry = pwd.getpwnam(_UNPRIVILEGED)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PermissionError(
            "PostgreSQL does not run as root, and setpriv (util-linux) is not there to run it as another user; "
            "install util-linux or run as an ordinary user."
        )
    prefix = [setpriv, "--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]
    if not all(open_to_all(path) for path in needed):
        # Without that bit, access(2), by which PostgreSQL looks for its own files, would disregard the capability.
        prefix += ["--securebits", "+no_setuid_fixup"]
        prefix += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return Account(entry.pw_uid, entry.pw_gid, (*prefix, "--"), name)


def open_to_all(path: Path) -> bool:
    """Whether any user can get to a path, through all folders above it, and read it if it is a file."""
    resolved = path.resolve()
    folders_open = all(parent.stat().st_mode & stat.S_IXOTH for parent in resolved.parents)
    return folders_open and (not resolved.is_file() or bool(resolved.stat().st_mode & stat.S_IROTH))
