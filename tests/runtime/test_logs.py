"""What a service writes to its log."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_runtime.logs import JsonFormatter

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxIn0.c2lnbmF0dXJl"


def line(message: str, *arguments: object, error: BaseException | None = None) -> str:
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("some.logger", logging.WARNING, "file.py", 1, message, arguments, trace)
    return JsonFormatter("tracking").format(record)


def entry(*arguments: Any, **options: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(line(*arguments, **options))
    return found


def test_a_record_is_one_object() -> None:
    found = entry("%d of %s", 1, "two")
    assert (found["level"], found["logger"], found["message"], found["role"]) == (
        "WARNING",
        "some.logger",
        "1 of two",
        "tracking",
    )
    assert found["time"].endswith("Z")


def test_a_traceback_is_part_of_its_record() -> None:
    try:
        raise ValueError(f"with {JWT}")
    except ValueError:
        found = entry("failed", error=sys.exc_info()[1])
    assert "ValueError: with [token]" in found["exception"]


@pytest.mark.parametrize(
    "secret", [JWT, f"Bearer {JWT}", "https://a.example/c?sv=1&sig=abc%2Bdef%3D&se=2", "?sig=abc%2Bdef%3D"]
)
def test_tokens_and_signatures_are_masked(secret: str) -> None:
    message = entry("sent %s", secret)["message"]
    assert "[token]" in message
    assert not any(part in message for part in ("eyJ", "c2lnbmF0dXJl", "abc%2Bdef"))


def test_a_token_is_masked_wherever_it_is_in_a_line() -> None:
    record = logging.LogRecord("some.logger", logging.INFO, "file.py", 1, "m", (), None)
    record.fields = {"path": f"/a/\x1e{JWT}", "ids": {"name": ["a", JWT]}, "status": 200, "none": None}
    found = json.loads(JsonFormatter("tracking").format(record))
    assert found["path"] == "/a/\x1e[token]"
    assert found["ids"] == {"name": ["a", "[token]"]}
    assert (found["status"], found["none"]) == (200, None)


@given(st.text())
def test_a_record_is_one_line_whatever_it_says(text: str) -> None:
    assert len(line("%s", text).split("\n")) == 1
