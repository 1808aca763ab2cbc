"""With access control, a path or a location is opened in the workspace of the request only.

A client names locations: of a model version, or in a trace's tag. MLflow 3.17.2 checks the workspace in paths of its
artifact routes and not in those (`_get_trace_repo_from_uri` and `_get_artifact_repository_for_uri` in
mlflow/server/handlers.py), so that a tag would lead to another team's files. And its check of paths
(`_get_workspace_scoped_repo_path_if_enabled`) lets the workspace `default` name the folder of all teams. The gate
refuses that in a path and a query, and MLflow reads the body of a GET too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.server import handlers
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.azure_blob_artifact_repo import AzureBlobArtifactRepository
from mlflow.utils.workspace_context import get_request_workspace

from mlflow_runtime.artifacts import names
from mlflow_runtime.middleware.access.decision import inside
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE

_SCHEME = "wasbs"
_SHARED_FOLDER = "workspaces"


def install() -> None:
    """Guard every location that is opened from now on. The service's own root is opened here, once, for MLflow."""
    handlers._get_artifact_repo_mlflow_artifacts()
    registry = artifact_repository_registry._artifact_repository_registry
    registry.register(_SCHEME, _guarded(registry.get_registered_artifact_repositories()[_SCHEME]))
    handlers._get_workspace_scoped_repo_path_if_enabled = _inside(handlers._get_workspace_scoped_repo_path_if_enabled)


def _inside(scoped: Callable[[str | None], str | None]) -> Callable[[str | None], str | None]:
    def path_in_workspace(artifact_path: str | None) -> str | None:
        workspace = get_request_workspace() or ""
        if artifact_path and not inside(artifact_path, workspace):
            raise MlflowException(
                f"Artifact path {artifact_path!r} is not in workspace {workspace!r}; leave the folder workspaces out.",
                error_code=PERMISSION_DENIED,
            )
        return scoped(artifact_path)

    return path_in_workspace


def _guarded(opened: Callable[..., Any]) -> Callable[..., Any]:
    def open_location(artifact_uri: str, **options: Any) -> Any:
        _, _, root, _ = AzureBlobArtifactRepository.parse_wasbs_uri(artifact_uri)
        workspace = get_request_workspace()
        if workspace is None or not is_own(root or "", workspace):
            raise MlflowException(
                f"Artifact location {artifact_uri!r} is not in workspace {workspace!r}; use a location of a run or a "
                "model of this workspace.",
                error_code=PERMISSION_DENIED,
            )
        return opened(artifact_uri, **options)

    return open_location


def is_own(root: str, workspace: str) -> bool:
    """Return whether a path of the container is one of the workspace's: below its folder, or, for `default`, below no
    other's. The root of the container is nobody's.
    """
    segments = [part for part in names.safe(root.strip("/")).split("/") if part not in ("", ".")]
    if segments[:1] == [_SHARED_FOLDER]:
        return segments[1:2] == [workspace]
    return bool(segments) and workspace == DEFAULT_WORKSPACE
