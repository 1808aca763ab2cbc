"""Takes the engine's lines about resources that a failed update did not reach out of its output.

With a saved plan the engine ends as many errors as there are resources behind the one that failed, each of two or three
lines (pkg/resource/deploy/deployment_executor.go). They say nothing that one sentence does not, and hide the cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_ERROR: Final = re.compile(r"error: expected resource operations for urn:\S*::(?P<name>.+) but none were seen\s*$")
_HEADER: Final = re.compile(r"^  \S+ \(.+\):\s*$")
_FAILED: Final = re.compile(r" (?P<name>\S+) \*\*failed\*\* 1 error\s*$")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Unreached:
    """The names of such resources so far, in the order of the engine's words."""

    names: dict[str, None] = field(default_factory=dict)
    _header: str = ""
    _dropped: bool = False

    def left(self, line: str) -> Iterator[str]:
        """Yield what a person needs to see of one more line, and of those before it."""
        plain = _COLOUR.sub("", line)
        if _HEADER.match(plain):
            yield from self._held()
            self._header = line
        elif found := _ERROR.search(plain):
            self.names[found["name"]] = None
            self._dropped = bool(self._header)
        elif self._dropped and not plain.strip():
            self._header, self._dropped = "", False
        elif (failed := _FAILED.search(plain)) is None or failed["name"] not in self.names:
            yield from self._held()
            yield line

    def _held(self) -> Iterator[str]:
        if self._header:
            yield self._header
        self._header, self._dropped = "", False
