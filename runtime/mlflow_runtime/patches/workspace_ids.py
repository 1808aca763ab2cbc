"""With access control, an object names ids of its own workspace only.

MLflow 3.17.2 looks up the object that a request is for in the workspace, and takes the other ids that it names as they
are: the run of a model version, the model of a metric, the experiments of a dataset. So a team could tie its objects to
another team's, and read or change through them. An id that does not exist is refused as one of another team is, so that
nobody can find out which exist.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from mlflow.entities.entity_type import EntityAssociationType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers
from mlflow.store.model_registry import sqlalchemy_workspace_store as registry
from mlflow.store.tracking import sqlalchemy_workspace_store as tracking
from mlflow.store.tracking.dbmodels.models import SqlLoggedModel

MODEL: Final = "model"
RUN: Final = EntityAssociationType.RUN
TRACE: Final = EntityAssociationType.TRACE
EXPERIMENT: Final = EntityAssociationType.EXPERIMENT

Named = Iterator[tuple[Any, str | None]]
"""Kinds and ids that the arguments of a call name."""

Arguments = Mapping[str, Any]


def _all(kind: Any, ids: Iterable[str | None] | None) -> Named:
    return ((kind, each) for each in ids or ())


def _models(entities: Iterable[Any] | None) -> Named:
    return ((MODEL, each.model_id) for each in entities or ())


def _links(call: Arguments) -> Named:
    yield from _all(TRACE, call["trace_ids"])
    yield RUN, call["run_id"]


TRACKING: Final[Mapping[str, Callable[[Arguments], Named]]] = {
    "log_metric": lambda call: _models([call["metric"]]),
    "log_batch": lambda call: _models(call["metrics"]),
    "log_inputs": lambda call: _models(call.get("models")),
    "log_outputs": lambda call: _models(call["models"]),
    "create_logged_model": lambda call: _all(RUN, [call.get("source_run_id")]),
    "create_issue": lambda call: _all(RUN, [call.get("source_run_id")]),
    "create_dataset": lambda call: _all(EXPERIMENT, call.get("experiment_ids")),
    "add_dataset_to_experiments": lambda call: _all(EXPERIMENT, call["experiment_ids"]),
    "link_traces_to_run": _links,
    "unlink_traces_from_run": _links,
}
"""Methods of the tracking store, and what they name beside the object that they are for."""


def install() -> None:
    """Check the ids in MLflow's stores, in this process."""
    store = tracking.WorkspaceAwareSqlAlchemyStore
    for name, named in TRACKING.items():
        setattr(store, name, _checked(getattr(store, name), named, lambda found: found))
    versions = registry.WorkspaceAwareSqlAlchemyStore
    versions.create_model_version = _checked(
        versions.create_model_version, _of_version, lambda _: handlers._get_tracking_store()
    )


def _of_version(call: Arguments) -> Named:
    yield RUN, call.get("run_id")
    yield MODEL, call.get("model_id")


def _checked(method: Any, named: Callable[[Arguments], Named], tracking_store: Callable[[Any], Any]) -> Any:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(store: Any, *args: Any, **options: Any) -> Any:
        ids: dict[Any, set[str]] = {}
        for kind, each in named(signature.bind(store, *args, **options).arguments):
            if each:
                ids.setdefault(kind, set()).add(str(each))
        for kind, asked in ids.items():
            if missing := asked - _own(tracking_store(store), kind, sorted(asked)):
                raise MlflowException(
                    f"There is no {kind} {', '.join(sorted(missing))} in this workspace; name one of its own.",
                    error_code=RESOURCE_DOES_NOT_EXIST,
                )
        return method(store, *args, **options)

    return checked


def _own(store: Any, kind: Any, ids: list[str]) -> set[str]:
    """Return those of the ids that are of the present workspace."""
    if kind is EXPERIMENT and not all(each.isdecimal() for each in ids):
        return set()
    with store.ManagedSessionMaker() as session:
        if kind == MODEL:
            query = store._get_query(session, SqlLoggedModel).filter(SqlLoggedModel.model_id.in_(ids))
            return {str(found) for (found,) in query.with_entities(SqlLoggedModel.model_id)}
        return {str(found) for found in store._filter_entity_ids(session, kind, ids)}
