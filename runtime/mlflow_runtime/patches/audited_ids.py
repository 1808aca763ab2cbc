"""With access control, the ids in the bodies and paths of MLflow's requests are in the record of changes.

MLflow 3.17.2 reads the bodies of nearly every route in one function (`_get_request_message` in
mlflow/server/handlers.py), so none is read twice. Handlers that take all from their path do not call it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from flask import request
from mlflow.server import app, handlers

from mlflow_runtime.middleware.access import audit


def install() -> None:
    """Have MLflow's handlers of this process report the ids that they are given."""
    read = handlers._get_request_message

    @functools.wraps(read)
    def reported(*args: Any, **options: Any) -> Any:
        message = read(*args, **options)
        for name, value in _top(message):
            audit.touch_named(name, value if isinstance(value, list) else [value])
        return message

    handlers._get_request_message = reported
    app.before_request(_report_path)


def _report_path() -> None:
    for name, value in (request.view_args or {}).items():
        audit.touch_named(name, [value])


def _top(message: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a message that are set, without those inside of other messages."""
    for field, value in message.ListFields():
        if field.message_type is None:
            yield field.name, list(value) if field.is_repeated else value
