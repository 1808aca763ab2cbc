"""Answers in the form that MLflow's clients read: JSON with `error_code` and `message`; and which error gives which."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from mlflow_runtime import request_id

# Errors that MLflow 3.17.2 lets through to its web frameworks, which answer them with a bare 500.
UNANSWERED: Final = (OSError, OperationalError, InterfaceError, NoConnectionFree)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An answer: HTTP status, MLflow's error code by name, and what happened and what to do."""

    status: int
    code: str
    message: str

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the answer, with the id of the request by which its log lines are found."""
        body = {"error_code": self.code, "message": self.message}
        current = request_id.current()
        return body if current is None else {**body, "request_id": current}


def failure_of(error: Exception) -> Failure | None:
    """The answer to an error that is nobody's mistake in the code, or None for one that may be.

    No 503 of this platform carries Retry-After, the gateway's and those of load shedding included. MLflow's client
    would wait that long for each of its seven retries, in place of its own pauses of 0, 4, 8, 16, 32, 64 and 120
    seconds, and so give up soon in an outage that it otherwise survives.
    """
    if isinstance(error, OSError):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return None
        return Failure(
            status=507,
            code="RESOURCE_EXHAUSTED",
            message="The disk on which this service keeps artifacts in transit is full; try again when other downloads "
            "are done, or give the service a larger spool disk.",
        )
    if isinstance(error, UNANSWERED):
        return Failure(
            status=503,
            code="TEMPORARILY_UNAVAILABLE",
            message="The database cannot be reached at present; the request can be sent again.",
        )
    return None
