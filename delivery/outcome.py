"""How a command ends: its exit code, and why, in one line for a person or as a document for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final


class ExitCode(IntEnum):
    """The exit codes of every command. A program that a command runs may end with another one of its own."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BUSY = 3
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 another command works on the stack, 130 interrupted by Ctrl-C, "
    "143 ended by SIGTERM."
)


class CommandError(RuntimeError):
    """A command cannot go on. The message goes to stderr as it is; `code` is the exit code.

    `document` is what the command says beside it to a program.
    """

    def __init__(self, message: str, code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = int(code)
        self.document: Mapping[str, Any] = {}


_RUN: Final = "Run: "


def error_document(message: str, code: int, *, otherwise: str) -> dict[str, Any]:
    """Return an error for a program. `remedy` is the command that the message ends with, or `otherwise`."""
    _, found, command = message.rpartition(_RUN)
    return {"error": {"code": int(code), "message": message, "remedy": command.splitlines()[0] if found else otherwise}}


@contextmanager
def reported(*kinds: type[Exception], code: int = ExitCode.FAILED) -> Iterator[None]:
    """Turn errors that a user can fix into one line. Every other error is a fault and keeps its traceback."""
    try:
        yield
    except kinds as error:
        raise CommandError(str(error), code) from error
