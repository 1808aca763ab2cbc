"""The part of a file that a client asks for (RFC 9110, section 14). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.http import parse_range_header


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
    once, which it allows. OutsideError if the range begins behind the end.
    """
    asked = parse_range_header(header)
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    first, behind_last = asked.ranges[0]
    # Werkzeug writes the last bytes of a file as a negative start. There may be fewer than were asked for.
    start = first if first >= 0 else max(size + first, 0)
    end = size if behind_last is None else min(behind_last, size)
    if start >= end:
        raise OutsideError(f"{header} is outside of a file of {size} bytes")
    return Span(start, end - start, size)
