"""The metrics of the connection pools and of the identity's tokens, against the real server."""

from __future__ import annotations

import threading

import pytest
from azure.core.exceptions import ClientAuthenticationError
from sqlalchemy import create_engine

from mlflow_runtime.azure import identity
from mlflow_runtime.metrics import REGISTRY
from tests.support.services import Platform, eventually

STORAGE = "https://storage.azure.com/.default"


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_connections_in_use_and_those_who_wait_are_counted(as_tracking: Platform) -> None:
    engine = create_engine(as_tracking.database_url("tracking", "registry"), pool_size=1, max_overflow=1)
    waited = sample("mlflow_database_connections_waited_total", database="registry")
    try:
        first, second = engine.connect(), engine.connect()
        assert sample("mlflow_database_connections", database="registry", state="in_use") == 2
        assert sample("mlflow_database_connections_limit", database="registry") == 2
        third = threading.Thread(target=lambda: engine.connect().close())
        third.start()
        eventually(
            lambda: sample("mlflow_database_connections_waited_total", database="registry") == waited + 1,
            "one who waits is counted",
        )
        first.close()
        third.join(30)
        second.close()
        assert sample("mlflow_database_connections", database="registry", state="in_use") == 0
        assert sample("mlflow_database_connections", database="registry", state="idle") == 1
        assert sample("mlflow_database_connection_wait_seconds_count", database="registry") >= 3
    finally:
        engine.dispose()


def test_new_and_refused_tokens_are_counted(as_tracking: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"resource": "storage.azure.com"}
    new = sample("mlflow_identity_tokens_total", outcome="new", **labels)
    for _ in range(3):
        identity.current().get_token(STORAGE)
    assert sample("mlflow_identity_tokens_total", outcome="new", **labels) == new + 1
    refused = sample("mlflow_identity_tokens_total", outcome="refused", **labels)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with pytest.raises(ClientAuthenticationError):
        identity.Identity(identity.current().client_id).get_token(STORAGE)
    assert sample("mlflow_identity_tokens_total", outcome="refused", **labels) == refused + 1
