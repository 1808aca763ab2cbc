"""What services and the prepare job log: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from functools import lru_cache
from types import TracebackType
from typing import Any, Final

from mlflow_runtime import request_id

# Loggers that tell of every request, every migration script and every engine.
_QUIET: Final = ("azure", "msal", "alembic", "urllib3", "sqlalchemy.engine", "mlflow.store.db.utils")

_TOKEN: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?<=[?&]sig=)[^&\s'\"]+")
# One of them is in every line that has something to mask, which nearly none has.
_SIGNS: Final = ("eyJ", "sig=")

_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


class JsonFormatter(logging.Formatter):
    """One line of JSON: time (UTC), level, logger, message, role; the id of the request that it was written for, the
    members of `fields` (an extra of the record) and the traceback where there are such.

    Tokens and signatures are masked, whoever put them into the line.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "role": self._role,
        }
        if current := request_id.current():
            line["request_id"] = current
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = _encode(line)
        return _encode(_masked(line)) if any(sign in text for sign in _SIGNS) else text


@lru_cache(maxsize=2)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


class _Written(logging.Handler):
    """Writes each line to a file by one system call: once it is logged the kernel has it, whatever ends the process."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        try:
            rest = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except Exception:  # noqa: BLE001 - as every handler of `logging`: no request fails for its line
            self.handleError(record)


def configure(role: str) -> None:
    """Send every logger's records to standard error as JSON, and the error that ends the process or a thread too.

    MLflow's and uvicorn's own logging must be off.
    """
    handler = _Written(sys.stderr.fileno())
    handler.setFormatter(JsonFormatter(role))
    # No line has what these look up for each record (the HOWTO of `logging`, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda ended: _log_uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    found = error or kind()
    logging.getLogger("mlflow_runtime").error("an error that nothing handled", exc_info=(kind, found, traceback))


def _masked(value: Any) -> Any:
    """Return what a line has to say, however deep it is in it, with every token and signature masked."""
    if isinstance(value, str):
        return _TOKEN.sub("[token]", value)
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list | tuple) else value
