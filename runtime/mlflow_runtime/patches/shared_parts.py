"""With access control, who reads a part of a workspace reads no other model and no other artifacts of it.

The gate lets such a caller ask by the routes that read one registered model, or artifacts by a path. The name of a
model may be in a body, and MLflow chooses among the arguments of a query by rules of its own, so what a request is for
is looked at here, where MLflow has it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers
from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
from mlflow.utils.workspace_context import get_request_workspace

from mlflow_runtime.middleware.access import current

_BY_NAME: Final = (
    *("get_registered_model", "get_latest_versions", "get_model_version", "get_model_version_by_alias"),
    "get_model_version_download_uri",
)
# Any other filter would tell something of models that are not shared, by what it finds.
_OF_ONE_MODEL: Final = re.compile(r"\s*name\s*=\s*(?:'([^'\"]*)'|\"([^'\"]*)\")\s*")


def install_models() -> None:
    """Look at the name of each model that this process's registry store is asked for."""
    store = WorkspaceAwareSqlAlchemyStore
    for name in _BY_NAME:
        setattr(store, name, _of_shared_model(getattr(store, name)))
    store.search_model_versions = _of_one_shared_model(store.search_model_versions)


def install_artifacts() -> None:
    """Look at each path that this process, the artifacts service, is asked for."""
    handlers._get_workspace_scoped_repo_path_if_enabled = _of_shared_experiment(
        handlers._get_workspace_scoped_repo_path_if_enabled
    )


def _of_shared_model(method: Any) -> Any:
    @functools.wraps(method)
    def checked(store: Any, name: str | None, *args: Any, **options: Any) -> Any:
        part = current.part_of(get_request_workspace())
        if part is not None and not part.has_model(name):
            raise MlflowException(
                f"No registered model {name!r} is shared with you in workspace {get_request_workspace()!r}; you read "
                f"{', '.join(part.models)}.",
                error_code=RESOURCE_DOES_NOT_EXIST,
            )
        return method(store, name, *args, **options)

    return checked


def _of_one_shared_model(method: Any) -> Any:
    @functools.wraps(method)
    def checked(store: Any, filter_string: str | None = None, *args: Any, **options: Any) -> Any:
        part = current.part_of(get_request_workspace())
        named = _OF_ONE_MODEL.fullmatch(filter_string or "")
        if part is not None and (named is None or not part.has_model(named[1] or named[2])):
            raise MlflowException(
                f"The filter {filter_string!r} may find versions of models that are not shared with you; find those of "
                f"one model by name = 'MODEL', of {', '.join(part.models)}.",
                error_code=PERMISSION_DENIED,
            )
        return method(store, filter_string, *args, **options)

    return checked


def _of_shared_experiment(scoped: Callable[[str | None], str | None]) -> Callable[[str | None], str | None]:
    def path_in_part(artifact_path: str | None) -> str | None:
        workspace = get_request_workspace() or ""
        part = current.part_of(workspace)
        if part is not None and not part.has_artifacts(artifact_path or "", workspace):
            raise MlflowException(
                f"Artifact path {artifact_path!r} is in no experiment that is shared with you.",
                error_code=PERMISSION_DENIED,
            )
        return scoped(artifact_path)

    return path_in_part
