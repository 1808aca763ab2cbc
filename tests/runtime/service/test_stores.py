"""Stores are opened again and again until they open, and one that does not holds up no other."""

from __future__ import annotations

import logging

import pytest

from mlflow_runtime.service.stores import Stores
from tests.support.services import eventually


def test_a_store_is_opened_when_it_can_be(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    failures = ["closed\nmore of it", "closed\nmore of it", "locked"]
    opened: list[str] = []

    def late() -> None:
        if failures:
            raise OSError(failures.pop(0))
        opened.append("late")

    stores = Stores({"late": late, "early": lambda: opened.append("early")}, pause=0.01)
    assert stores.reason("late") == stores.reason("early") == "it was not tried yet"
    stores.start()
    eventually(lambda: stores.reason("late") is None, "the late store is open")
    assert stores.reason("early") is None
    assert opened == ["early", "late"]
    assert caplog.messages == [
        "the late store cannot be opened yet: closed",
        "the early store is open",
        "the late store cannot be opened yet: locked",
        "the late store is open",
    ]


def test_a_store_that_nobody_opens_is_no_open_store() -> None:
    with pytest.raises(KeyError):
        Stores({}).reason("tracking")
