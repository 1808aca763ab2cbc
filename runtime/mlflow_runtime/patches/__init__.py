"""Everything that is changed inside MLflow 3.17.2, as one list; each file says what for.

What MLflow offers as an entry point is no patch: the dialect `postgresql+entra` and the artifact repository `wasbs`.
"""

from __future__ import annotations

from typing import Any

from mlflow_runtime.artifacts import routes as artifact_routes
from mlflow_runtime.artifacts.memory import Memory
from mlflow_runtime.database.revisions import image_revisions
from mlflow_runtime.middleware.access import workspaces
from mlflow_runtime.patches import (
    artifact_downloads,
    artifact_locations,
    artifact_names,
    audited_ids,
    chunked_bodies,
    connect_attempts,
    database_errors,
    error_answers,
    json_answers,
    logged_model_history,
    schema_verification,
    shared_parts,
    simultaneous_writes,
    span_exports,
    span_trees,
    workspace_ids,
    workspace_locations,
    workspace_memory,
    workspace_stores,
)
from mlflow_runtime.service.settings import Settings


def apply(settings: Settings, fastapi_app: Any, flask_app: Any) -> None:
    """Change MLflow in this process, for one service. MLflow must be loaded; call it once."""
    from mlflow.server import fastapi_app as fastapi_module

    connect_attempts.install()
    schema_verification.install(image_revisions())
    span_trees.install()
    artifact_locations.close_others()
    chunked_bodies.install(fastapi_module)
    database_errors.install()
    logged_model_history.install()
    simultaneous_writes.install()
    span_exports.install(fastapi_app)
    artifact_names.install()
    error_answers.install(fastapi_app, flask_app)
    json_answers.install()
    if settings.access is not None:
        workspaces.install(settings.access)
        workspace_stores.install()
        workspace_locations.install()
        workspace_ids.install()
        workspace_memory.install(settings.access.workspaces, fastapi_app)
        audited_ids.install()
        shared_parts.install_models()
    # The routes that carry bytes, which in MLflow keep each artifact on disk in passing.
    if settings.artifacts is None:
        artifact_downloads.install()
    else:
        if settings.access is not None:
            shared_parts.install_artifacts()
        artifact_routes.install(fastapi_app, Memory.of(settings.artifacts.memory_mib))
