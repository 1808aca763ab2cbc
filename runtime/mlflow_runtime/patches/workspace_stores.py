"""With access control, a tracking store opens without writing where its default experiment exists.

MLflow 3.17.2 inserts the default experiment at every start of a store with workspaces and ignores the duplicate
(`_ensure_default_workspace_experiment` in mlflow/store/tracking/sqlalchemy_workspace_store.py); without workspaces it
looks first. The registry service reads the tracking database and may not insert.
"""

from __future__ import annotations

from typing import Any, Final

from mlflow.store.tracking.dbmodels.models import SqlExperiment
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore

from mlflow_runtime.patches.unchanged import is_unchanged

READ: Final = "2f01fa93df030a33"


def install() -> bool:
    """Have the stores of this process look first. Return whether it is on."""
    ensure = WorkspaceAwareSqlAlchemyStore._ensure_default_workspace_experiment
    on = is_unchanged(ensure, READ)
    if on:

        def look_first(store: Any) -> None:
            with store.ManagedSessionMaker() as session:
                exists = session.get(SqlExperiment, int(SqlAlchemyStore.DEFAULT_EXPERIMENT_ID)) is not None
            if not exists:
                ensure(store)

        WorkspaceAwareSqlAlchemyStore._ensure_default_workspace_experiment = look_first
    return on
