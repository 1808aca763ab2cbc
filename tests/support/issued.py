"""What an Entra in this process issued to its tests so far, and where any of it was left.

What the Entra of a local stack issues, a process of its own, is not known here: the test that signs in there looks.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_ISSUED: Final[set[bytes]] = set()

# Tokens and codes are of these characters and longer than this, but for the point between the parts of a token.
_LEAST: Final = 40
_CHARACTERS: Final = frozenset(f"{string.ascii_letters}{string.digits}_-".encode())
_MARKED: Final = bytes(ord("x" if byte in _CHARACTERS else " ") for byte in range(256))


def note(secrets: Iterable[str]) -> None:
    """Remember tokens and codes. A token is known by its last part, its signature: whoever has that has seen it."""
    parts = {each.rpartition(".")[2].encode() for each in secrets}
    assert all(len(each) >= _LEAST for each in parts), "a secret that is shorter than what is looked for"
    _ISSUED.update(parts)


def number() -> int:
    """How many there are so far."""
    return len(_ISSUED)


def left_in(folder: Path) -> list[str]:
    """The files below a folder that have one of them."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if is_in(_content(path)))


def is_in(data: bytes) -> bool:
    """Whether one of them is in some bytes, whatever stands around it."""
    runs = _runs(data)
    if not runs.isdisjoint(_ISSUED):
        return True
    longest, together = max(map(len, runs), default=0), b" ".join(runs)
    return any(secret in together for secret in _ISSUED if len(secret) < longest)


def _runs(data: bytes) -> set[bytes]:
    """What stands between other characters and is long enough. By a regular expression it takes many times as long."""
    marked, found, end = data.translate(_MARKED), set(), 0
    while (start := marked.find(b"x" * _LEAST, end)) >= 0:
        end = marked.find(b" ", start)
        end = len(data) if end < 0 else end
        found.add(data[start:end])
    return found


def _content(path: Path) -> bytes:
    """What is in a file; nothing in a folder, a socket, or what its program has removed or closed to others."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""
