"""Roles look for no garbage while they load MLflow, nor later among what they loaded."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import ModuleType

import pytest

from mlflow_runtime import logs, prepare
from mlflow_runtime.loading import BEFORE_MLFLOW, loading
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service import mlflow_app, server
from tests.support.role_environment import whole


class Loaded(Exception):  # noqa: N818 - it ends a role where the test has seen enough
    """The role came to its import of MLflow."""


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether Python looked for garbage when a role imported MLflow, which ends the role here."""
    found: list[bool] = []

    def load(*_: object) -> None:
        found.append(gc.isenabled())
        raise Loaded

    steps = ModuleType("steps")
    monkeypatch.setattr(steps, "__getattr__", load, raising=False)
    monkeypatch.setitem(sys.modules, "mlflow_runtime.prepare.steps", steps)
    monkeypatch.setattr(mlflow_app, "load", load)
    monkeypatch.setattr(logs, "configure", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return found


def test_nothing_is_looked_through_while_modules_load_nor_later() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        loaded = [[number] for number in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)


def test_after_a_failed_import_garbage_is_looked_for_again() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_a_service_loads_mlflow_so(looked: list[bool]) -> None:
    environment = {name: value for name, value in whole("artifacts").items() if "KEY_VAULT" not in name}
    with pytest.raises(Loaded):
        server.run(ServiceRole.ARTIFACTS, environment)
    assert (looked, gc.isenabled()) == ([False], True)


def test_prepare_loads_mlflow_so(looked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BEFORE_MLFLOW:
        monkeypatch.setenv(name, "as given")
    with pytest.raises(Loaded):
        prepare.run(whole("prepare"))
    assert (looked, gc.isenabled()) == ([False], True)
    assert {name: os.environ[name] for name in BEFORE_MLFLOW} == BEFORE_MLFLOW
