"""Finding credentials where none may be: in logs, on command lines, in the state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psutil

from tests.support.local_stack import RunningStack

# What credentials look like. Masked ones (`[token]`, `***`, libpq's `xxx`) do not count, nor does
# the line of a source that a traceback quotes, where a name and a bracket follow.
_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "a token": re.compile(r"eyJ[\w-]{16,}\.[\w-]{16,}"),
    "a bearer header": re.compile(r"Bearer\s+[\w.~+/-]{8,}", re.IGNORECASE),
    "a signature": re.compile(r"\bsig(?:=|%3D)(?!\[token\])[\w%+/-]{8,}", re.IGNORECASE),
    "a password": re.compile(
        r"\b(?:password|passwd|pwd|AccountKey)=(?!\*|\[|xxx\b|[A-Za-z_.]+[(),])[^\s&;,'\"]+", re.IGNORECASE
    ),
    "a password in a URL": re.compile(r"://[^\s/:@'\"]*:(?!\*)[^\s/:@'\"]+@"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}


def leaks(texts: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Where in `texts` something looks like a credential or is one of `secrets`, by name: never the value itself."""
    looks = [
        f"{where}, line {text.count(chr(10), 0, match.start()) + 1}: {what}"
        for where, text in texts.items()
        for what, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
    ]
    known = [f"{where}: {name}" for where, text in texts.items() for name, value in secrets.items() if value in text]
    return looks + known


def files(folder: Path) -> dict[str, str]:
    """Every file below the folder as text, rotated logs among them."""
    return {
        str(path.relative_to(folder)): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()
    }


def command_lines(stack: RunningStack) -> dict[str, str]:
    """The command line of each process of the stack and of their children, by name and pid."""
    found = {}
    for name, pid in stack.supervisor.pids().items():
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            found[f"command line of {name}, {one.pid}"] = " ".join(one.cmdline())
    return found


def secrets(stack: RunningStack) -> dict[str, str]:
    """Every secret value that the stack knows: the identities' headers, the vault's secrets, the private keys."""
    data = stack.local.layout.data
    headers = {path.name: path.read_text().strip() for path in (data / "identity-headers").glob("[!.]*")}
    vault = json.loads((data / "vault" / "local.json").read_text())
    values = {f"vault {number}": value for number, value in enumerate(_values(vault))}
    keys = {
        str(path): "".join(path.read_text().splitlines()[1:3])
        for path in data.rglob("*")
        if path.is_file() and path.stat().st_size < 10_000 and b"PRIVATE KEY" in path.read_bytes()
    }
    assert headers
    assert values
    assert keys
    found = headers | values | keys
    assert all(len(value) > 20 for value in found.values())
    return found


def _values(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "value" and isinstance(value, str):
                yield value
            yield from _values(value)
    elif isinstance(document, list):
        for item in document:
            yield from _values(item)
