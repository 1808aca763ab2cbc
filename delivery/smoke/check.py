"""How a step says what it expected, and how an error becomes one line of a report."""

from __future__ import annotations

from typing import Any

LONGEST_VALUE = 120
LONGEST_REASON = 400


class UnexpectedError(Exception):
    """The server answered, but not with what it should have. The message is complete for a reader."""


def expect(what: str, found: Any, wanted: Any) -> None:
    """Raise `UnexpectedError` naming `what` unless `found` equals `wanted`."""
    if found != wanted:
        raise UnexpectedError(f"{what}: found {shortened(repr(found))}, expected {shortened(repr(wanted))}")


def expect_in(what: str, part: Any, whole: Any) -> None:
    """Raise `UnexpectedError` naming `what` unless `part` is in `whole`."""
    if part not in whole:
        raise UnexpectedError(f"{what}: {shortened(repr(part))} is not in {shortened(repr(whole))}")


def describe(error: BaseException) -> str:
    """The error in one line: its message, with the class before it unless the message stands for itself."""
    message = " ".join(str(error).split())
    if not isinstance(error, UnexpectedError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return shortened(message, LONGEST_REASON)


def shortened(text: str, longest: int = LONGEST_VALUE) -> str:
    """The text, its middle left out where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head]} … {text[head + 3 - longest :]}"
