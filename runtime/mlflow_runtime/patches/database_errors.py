"""A database's refusal is answered in the words of a client: which field, which limit; never with SQL.

MLflow 3.17.2 puts SQLAlchemy's exception into its own error, whose message is the answer: the statement, its
parameters, the names of tables, and the driver's words (`_get_managed_session_maker` in mlflow/store/db/utils.py, and
wherever an f-string holds the exception).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    TEMPORARILY_UNAVAILABLE,
)
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from mlflow_runtime.patches.unchanged import is_unchanged
from mlflow_runtime.reasons import first_line

READ: Final = "200eae576eee602f"

# SQLSTATEs: PostgreSQL's documentation, appendix "PostgreSQL Error Codes".
_TOO_LONG: Final = "22001"
_DATA: Final = "22"
_NOT_NULL: Final = "23502"
_FOREIGN_KEY: Final = "23503"
_UNIQUE: Final = "23505"
_CHECK: Final = "23514"
_DEADLOCKS: Final = frozenset({"40001", "40P01"})
_NO_PRIVILEGE: Final = "42501"
_TOO_LARGE: Final = "54000"
_TWICE: Final = "21000"

_DATABASES_WORDS = re.compile(
    r"\(raised as a result of|\((?:psycopg2|sqlalchemy|builtins)\.[\w.]+\)|\[SQL: |\(Background on this error"
)
_INTRODUCTION = re.compile(r"[\s.:]*(?:Error|Reason|Cause)?[\s:]*$", re.IGNORECASE)
_LIMIT = re.compile(r"character varying\((\d+)\)")
# What SQLAlchemy adds to a column's name where a statement has it more than once.
_NUMBERED = re.compile(r"(?:_{1,2}m?\d+)+$")

_log = logging.getLogger(__name__)


def install() -> bool:
    """Have every MlflowException of this process say it so. Return whether it is on."""
    if not is_unchanged(MlflowException.__init__, READ):
        return False
    make = MlflowException.__init__

    def made(self: MlflowException, message: Any, error_code: int = INTERNAL_ERROR, *rest: Any, **options: Any) -> None:
        text, code = in_other_words(message, error_code)
        make(self, text, code, *rest, **options)

    MlflowException.__init__ = made
    return True


def in_other_words(message: Any, code: int) -> tuple[Any, int]:
    """Return message and code for an MlflowException; of one that has nothing of a database, what was given."""
    if isinstance(message, SQLAlchemyError):
        return explain(message, code)
    if isinstance(message, ValueError) and "NUL (0x00)" in str(message):
        return "A text of the request holds the character NUL, which no field takes; leave it out.", (
            INVALID_PARAMETER_VALUE
        )
    text = str(message)
    found = _DATABASES_WORDS.search(text)
    if found is None:
        return message, code
    if error := _handled():
        _log.warning("the database refused: %s", first_line(error))
    own = _INTRODUCTION.sub("", text[: found.start()])
    if own:
        return f"{own}.", code
    return explain(error, code) if error else ("The database refused the request.", code)


def explain(error: SQLAlchemyError, code: int) -> tuple[str, int]:
    """Return what an answer says of a database's error, and MLflow's code for it."""
    _log.warning("the database refused: %s", first_line(error))
    origin = getattr(error, "orig", None)
    state = getattr(origin, "pgcode", None) or ""
    diagnosis = getattr(origin, "diag", None)
    if state in _DEADLOCKS:
        return "The database ended a deadlock with another request; send it again.", TEMPORARILY_UNAVAILABLE
    if isinstance(error, StaleDataError | ObjectDeletedError):
        return "Another request changed it at the same time; send it again.", TEMPORARILY_UNAVAILABLE
    if state == _TOO_LONG:
        return _too_long(error), INVALID_PARAMETER_VALUE
    if state.startswith(_DATA):
        return f"A value does not fit its field: {_said(diagnosis)}.", INVALID_PARAMETER_VALUE
    if state == _NOT_NULL:
        return f"{getattr(diagnosis, 'column_name', None) or 'A field'}: must be set.", INVALID_PARAMETER_VALUE
    if state == _FOREIGN_KEY:
        return "The request names something that does not exist, or deletes what is in use.", INVALID_PARAMETER_VALUE
    if state == _UNIQUE:
        return "It exists already; another request may have just created it.", RESOURCE_ALREADY_EXISTS
    if state == _TWICE:
        return "The request has the same row twice; send each once.", INVALID_PARAMETER_VALUE
    if state == _CHECK:
        return "A value is not one that its field takes.", INVALID_PARAMETER_VALUE
    if state == _TOO_LARGE:
        return "A value is too long for a field that is searched; shorten it to 2000 characters.", (
            INVALID_PARAMETER_VALUE
        )
    if state == _NO_PRIVILEGE:
        return "Permission denied: this service may not change that; send the request to the service that owns it.", (
            PERMISSION_DENIED
        )
    if isinstance(error, OperationalError | InterfaceError | NoConnectionFree):
        return "The database cannot be reached at present; the request can be sent again.", TEMPORARILY_UNAVAILABLE
    return "The database refused the request; the service's log has its reason.", code


def _too_long(error: SQLAlchemyError) -> str:
    """PostgreSQL tells the limit and not the column; its name is the parameter's that is longer."""
    found = _LIMIT.search(str(getattr(error, "orig", "")))
    limit = int(found[1]) if found else 0
    for name, value in _parameters(error):
        if isinstance(value, str) and found and len(value) > limit:
            return f"{_NUMBERED.sub('', name)}: got {len(value)} characters; expected at most {limit}."
    return f"A text is longer than its field; expected at most {limit} characters."


def _parameters(error: SQLAlchemyError) -> Iterator[tuple[str, Any]]:
    given = error.params if isinstance(error, StatementError) else None
    rows: Iterable[Any] = [given] if isinstance(given, Mapping) else given or ()
    for row in rows:
        if isinstance(row, Mapping):
            yield from row.items()


def _said(diagnosis: Any) -> str:
    return str(getattr(diagnosis, "message_primary", None) or "it is out of range")


def _handled() -> SQLAlchemyError | None:
    """Return the database's error that is being handled, if one is."""
    error = sys.exception()
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__ or error.__context__
    return error
