"""What an answer says of a database's error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    TEMPORARILY_UNAVAILABLE,
)
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE as INVALID
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm.exc import StaleDataError

from mlflow_runtime.patches.database_errors import in_other_words

STATEMENT = "INSERT INTO experiments (name, note) VALUES (%(name__0)s, %(note__0)s)"


class Refusal(Exception):  # noqa: N818
    """The driver's exception."""

    __module__ = "psycopg2.errors"

    def __init__(self, text: str, pgcode: str | None = None, **diagnosis: Any) -> None:
        super().__init__(text)
        self.pgcode, self.diag = pgcode, SimpleNamespace(message_primary=text, **diagnosis)


TOO_LONG = Refusal("value too long for type character varying(256)", "22001")
ROW = {"name__0": "x" * 300, "note__0": "somebody's"}


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (DataError(STATEMENT, ROW, TOO_LONG), "name: got 300 characters; expected at most 256.", INVALID),
        (DataError(STATEMENT, [ROW], TOO_LONG), "name: got 300 characters; expected at most 256.", INVALID),
        (DataError(STATEMENT, (), TOO_LONG), "longer than its field; expected at most 256", INVALID),
        (DataError("", {}, Refusal("bigint out of range", "22003")), "bigint out of range", INVALID),
        (IntegrityError("", {}, Refusal("null", "23502", column_name="note")), "note: must be set", INVALID),
        (IntegrityError("", {}, Refusal("key", "23505")), "exists already", RESOURCE_ALREADY_EXISTS),
        (IntegrityError("", {}, Refusal("fk", "23503")), "does not exist", INVALID),
        (ProgrammingError("", {}, Refusal("no", "42501")), "Permission denied", PERMISSION_DENIED),
        (OperationalError("", {}, Refusal("dead", "40P01")), "deadlock", TEMPORARILY_UNAVAILABLE),
        (
            StaleDataError("UPDATE expected to update 1 row(s); 0"),
            "Another request changed it",
            TEMPORARILY_UNAVAILABLE,
        ),
        (OperationalError("", {}, Refusal("gone")), "cannot be reached", TEMPORARILY_UNAVAILABLE),
        (ProgrammingError(STATEMENT, ROW, Refusal("odd", "42P01")), "the service's log", BAD_REQUEST),
        (ValueError("A string literal cannot contain NUL (0x00) characters."), "character NUL", INVALID),
    ],
    ids=str,
)
def test_an_error_names_what_a_client_can_change(error: Exception, message: str, code: int) -> None:
    said, found = in_other_words(error, BAD_REQUEST)
    assert message in said
    assert found == code
    assert "INSERT" not in said
    assert "somebody's" not in said


def test_of_a_sentence_with_the_error_in_it_only_mlflows_own_words_stay() -> None:
    error = IntegrityError(STATEMENT, ROW, Refusal("duplicate key value", "23505"))
    said, code = in_other_words(f"Experiment(name=a) already exists. Error: {error}", RESOURCE_ALREADY_EXISTS)
    assert (said, code) == ("Experiment(name=a) already exists.", RESOURCE_ALREADY_EXISTS)


def test_text_that_is_the_error_alone_is_explained_while_it_is_handled() -> None:
    said = ""
    try:
        raise DataError(STATEMENT, ROW, TOO_LONG)
    except DataError as error:
        said, _ = in_other_words(str(error), INTERNAL_ERROR)
    assert said == "name: got 300 characters; expected at most 256."


def test_other_messages_stay() -> None:
    assert in_other_words("No run with id 'SELECT'", BAD_REQUEST) == ("No run with id 'SELECT'", BAD_REQUEST)
