"""A full disk and a database that does not answer are answered as what they are.

MLflow 3.17.2 lets OSError and SQLAlchemy's errors through to its web frameworks, which answer a bare 500. Its client
then gives up on what it could send again.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse

from mlflow_runtime.reasons import first_line
from mlflow_runtime.responses import UNANSWERED, Failure, failure_of

_log = logging.getLogger(__name__)


def install(fastapi_app: Any, flask_app: Any) -> None:
    """Answer these errors in both of MLflow's applications; all other errors stay what they are to the frameworks."""

    async def for_fastapi(_request: Any, error: Exception) -> JSONResponse:
        failure = _failure(error)
        return JSONResponse(failure.body, failure.status)

    def for_flask(error: Exception) -> tuple[dict[str, Any], int]:
        failure = _failure(error)
        return failure.body, failure.status

    for kind in UNANSWERED:
        fastapi_app.add_exception_handler(kind, for_fastapi)
        flask_app.register_error_handler(kind, for_flask)


def _failure(error: Exception) -> Failure:
    """The answer, with the reason in the log, where the alert on a full disk finds it; raises any other error."""
    failure = failure_of(error)
    if failure is None:
        raise error
    _log.warning("answered %d: %s", failure.status, first_line(error))
    return failure
