"""The part of a file that a client asks for (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ONE: Final = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.ASCII)


@dataclass(frozen=True)
class Span:
    """`length` bytes from `start` on, of a file of `size`."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The header of an answer with status 206."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


class OutsideError(ValueError):
    """No byte of the file is in the range: status 416."""


def span(header: str | None, size: int) -> Span | None:
    """The part of a file of `size` bytes that a Range header asks for; None for all of it.

    A header that is not understood is as if it were not there, which the RFC asks for, and so are several ranges at
    once, which it allows. OutsideError if the range begins behind the end or is of no bytes.
    """
    asked = _ONE.fullmatch(header.strip()) if header else None
    if asked is None or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise OutsideError(f"{header} is outside of a file of {size} bytes")
    return Span(start, end - start, size)
