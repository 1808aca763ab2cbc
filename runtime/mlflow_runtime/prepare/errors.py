"""The one exception that a step of prepare raises for a condition it understands."""

from __future__ import annotations


class PrepareError(Exception):
    """A refusal or failure with its remedy.

    `str()` says what was found and what is allowed; `remedy` says what to do before the job is run again.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy
