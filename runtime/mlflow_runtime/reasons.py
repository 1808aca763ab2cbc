"""What an exception says, for a log or an answer."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type where it has none.

    Of SQLAlchemy's exceptions it is the driver's own words, without the statement and the link.
    """
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
