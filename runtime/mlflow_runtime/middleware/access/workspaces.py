"""The workspaces that MLflow knows: the teams of the settings, as far as the caller has a role in them.

MLflow's own provider asks a database for every request, on the event loop, and artifacts has no database. The gate has
decided before, so nothing is left to ask. Nobody makes a workspace by a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlflow_runtime.middleware.access import current
from mlflow_runtime.middleware.access.roles import Part
from mlflow_runtime.middleware.access.settings import DEFAULT_WORKSPACE, Access

if TYPE_CHECKING:
    from mlflow.entities import Workspace

SCHEME: Final = "access"
URI: Final = f"{SCHEME}://roles"
"""The address by which MLflow is led to this provider."""


def install(access: Access) -> None:
    """Make this the provider behind `URI`, in this process."""
    from mlflow.tracking._workspace import registry

    # Beside the entry points that MLflow reads: what it provides depends on this process's settings.
    provider = _provider(access.workspaces)
    registry._get_workspace_store_registry().register(SCHEME, lambda **_: provider)


def visible(names: Sequence[str]) -> list[str]:
    """Return the workspaces of the present caller; all of them for the service's own work."""
    caller = current.caller()
    return [name for name in names if caller is None or name in caller.roles]


def _with_parts() -> Mapping[str, Part]:
    """Return the workspaces of which the present caller reads a part."""
    caller = current.caller()
    return {} if caller is None else caller.parts


def _provider(names: Sequence[str]) -> Any:
    from mlflow.entities import Workspace
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
    from mlflow.store.workspace.abstract_store import AbstractStore

    class Workspaces(AbstractStore):  # type: ignore[misc]  # MLflow publishes no types
        """A read-only provider. What it does not override, MLflow answers with 'not supported'."""

        def list_workspaces(self) -> list[Workspace]:
            return [Workspace(name=name) for name in visible(names)]

        def get_workspace(self, workspace_name: str) -> Workspace:
            if workspace_name not in (*visible(names), *_with_parts()):
                raise MlflowException(
                    f"There is no workspace {workspace_name!r} in which you have a role.",
                    error_code=RESOURCE_DOES_NOT_EXIST,
                )
            return Workspace(name=workspace_name)

        def get_default_workspace(self) -> Workspace:
            return Workspace(name=DEFAULT_WORKSPACE)

    return Workspaces()
