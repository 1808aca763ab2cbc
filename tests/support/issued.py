"""What Entra issued to the tests of this process so far, and where any of it was left: nowhere but with who got it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

_ISSUED: Final[set[bytes]] = set()

HOLDERS: Final = ()
"""Parts of the paths in which somebody who got one may have it."""

# Tokens and codes are of these characters and longer than this, but for the point between the parts of a token.
_LEAST: Final = 40
_RUN: Final = re.compile(rb"[A-Za-z0-9_-]{%d,}" % _LEAST)


def note(secrets: Iterable[str]) -> None:
    """Remember tokens and codes. A token is known by its last part, its signature: whoever has that has seen it."""
    _ISSUED.update(each.rpartition(".")[2].encode() for each in secrets)


def number() -> int:
    """How many there are so far."""
    return len(_ISSUED)


def left_in(folder: Path, holders: Collection[str] = ()) -> list[str]:
    """The files below a folder that have one of them. A path with one of `holders` in it belongs to who got it."""
    searched = (path for path in folder.rglob("*") if not any(holder in str(path) for holder in holders))
    return sorted(str(path.relative_to(folder)) for path in searched if is_in(_content(path)))


def is_in(data: bytes) -> bool:
    """Whether one of them is in some bytes, whatever stands around it."""
    runs = set(_RUN.findall(data))
    if not runs.isdisjoint(_ISSUED):
        return True
    longest = max(map(len, runs), default=0)
    return any(secret in run for secret in _ISSUED if len(secret) < longest for run in runs)


def _content(path: Path) -> bytes:
    """What is in a file; nothing in a folder, a socket, or what its program has removed by now."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
