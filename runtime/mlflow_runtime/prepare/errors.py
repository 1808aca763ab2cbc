"""The one exception that a step of prepare raises for a condition it understands, and what locks ask for."""

from __future__ import annotations

from psycopg2.errors import DeadlockDetected, LockNotAvailable


class PrepareError(Exception):
    """A refusal or failure with its remedy.

    `str()` says what was found and what is allowed; `remedy` says what to do before the job is run again.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


def remedy_of_lock(error: Exception) -> str | None:
    """Return what to do about a table that another session keeps; None for an error of another cause."""
    if isinstance(getattr(error, "orig", None), LockNotAvailable | DeadlockDetected):
        return "end the session that holds the table (pg_stat_activity shows it), or wait for it"
    return None
