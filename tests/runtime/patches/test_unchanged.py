"""A patch is on for the MLflow that it was written for, and off for another."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.server import handlers, otel_api
from mlflow.store.db import utils as mlflow_db
from mlflow.store.tracking import sqlalchemy_store
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.uri import validate_path_is_safe

from mlflow_runtime.patches import (
    artifact_downloads,
    artifact_names,
    chunked_bodies,
    database_errors,
    logged_model_history,
    simultaneous_writes,
    span_exports,
    workspace_stores,
)
from mlflow_runtime.patches.unchanged import digest_of, is_unchanged


@pytest.mark.parametrize(
    ("target", "read"),
    [
        (MlflowException.__init__, database_errors.READ),
        (mlflow_db._get_managed_session_maker, simultaneous_writes.READ),
        (sqlalchemy_store.SqlAlchemyStore.record_logged_model, logged_model_history.READ),
        (handlers._send_artifact, artifact_downloads.SEND_READ),
        (handlers._create_temp_artifact_file_response, artifact_downloads.FILE_READ),
        (validate_path_is_safe, artifact_names.SAFE_READ),
        (handlers._content_disposition_attachment, artifact_names.ATTACHMENT_READ),
        (otel_api.export_traces, span_exports.EXPORT_READ),
        (sqlalchemy_store.translate_span_when_storing, span_exports.TRANSLATE_READ),
        (WorkspaceAwareSqlAlchemyStore._ensure_default_workspace_experiment, workspace_stores.READ),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_mlflow_is_what_each_patch_was_written_for(target: Any, read: str) -> None:
    assert is_unchanged(target, read)


class Changed:
    """Stands for mlflow.server.fastapi_app of another version."""

    _EfficientWSGIResponder = MlflowException
    build_environ: Any = staticmethod(dict)


def test_a_patch_of_something_else_stays_off_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert chunked_bodies.install(Changed) is False
    assert Changed.build_environ is dict
    assert "MlflowException" in caplog.text
    assert digest_of(MlflowException) != chunked_bodies.READ
