"""What services and the prepare job log: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

from mlflow_runtime import request_id

# Loggers that tell of every request, every migration script and every engine.
_QUIET: Final = ("azure", "msal", "alembic", "urllib3", "sqlalchemy.engine", "mlflow.store.db.utils")

_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?<=[?&]sig=)[^&\s'\"]+")


class JsonFormatter(logging.Formatter):
    """One line of JSON: time (UTC), level, logger, message, role; the id of the request that it was written for, the
    members of `fields` (an extra of the record) and the traceback where there are such.

    Tokens and signatures are masked, whoever put them into the message.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": _masked(record.getMessage()),
            "role": self._role,
        }
        if current := request_id.current():
            line["request_id"] = current
        for name, value in getattr(record, "fields", {}).items():
            line[name] = _masked(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure(role: str) -> None:
    """Send every logger's records to standard error as JSON, and the error that ends the process or a thread too.

    MLflow's and uvicorn's own logging must be off.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda ended: _log_uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    found = error or kind()
    logging.getLogger("mlflow_runtime").error("an error that nothing handled", exc_info=(kind, found, traceback))


def _masked(text: str) -> str:
    return _TOKEN.sub("[token]", text)
