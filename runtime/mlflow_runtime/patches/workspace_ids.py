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
from urllib.parse import urlsplit

from mlflow.entities import BudgetTargetScope
from mlflow.entities.entity_type import EntityAssociationType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST
from mlflow.server import handlers
from mlflow.store.model_registry import sqlalchemy_workspace_store as registry
from mlflow.store.tracking import sqlalchemy_workspace_store as tracking
from mlflow.store.tracking.dbmodels.models import SqlAssessments, SqlGatewayEndpoint, SqlLoggedModel, SqlScorer

from mlflow_runtime.patches.workspace_locations import is_own

MODEL: Final = "model"
ENDPOINT: Final = "endpoint"
SCORER: Final = "scorer"
RUN: Final = EntityAssociationType.RUN
TRACE: Final = EntityAssociationType.TRACE
EXPERIMENT: Final = EntityAssociationType.EXPERIMENT

_LOCATIONS: Final = frozenset({"mlflow-artifacts", "wasbs"})

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


_COLUMNS: Final[Mapping[Any, Any]] = {
    MODEL: SqlLoggedModel.model_id,
    ENDPOINT: SqlGatewayEndpoint.endpoint_id,
    SCORER: SqlScorer.scorer_id,
}
"""The ids of the kinds that MLflow's own filter of ids does not know."""

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
    "add_items_to_review_queue": lambda call: _all(TRACE, call["item_ids"]),
    "create_gateway_endpoint": lambda call: _all(EXPERIMENT, [call.get("experiment_id")]),
    "update_gateway_endpoint": lambda call: _all(EXPERIMENT, [call.get("experiment_id")]),
    "create_gateway_guardrail": lambda call: _all(ENDPOINT, [call.get("action_endpoint_id")]),
    "create_endpoint_binding": lambda call: _all(SCORER, [call["resource_id"]]),
}
"""Methods of the tracking store, and what they name beside the object that they are for."""


def install() -> None:
    """Check the ids in MLflow's stores, in this process."""
    store = tracking.WorkspaceAwareSqlAlchemyStore
    for name, named in TRACKING.items():
        setattr(store, name, _checked(getattr(store, name), named, lambda found: found))
    store.start_trace = _with_own_assessments(store.start_trace)
    for name in ("create_budget_policy", "update_budget_policy"):
        setattr(store, name, _for_one_workspace(getattr(store, name)))
    versions = registry.WorkspaceAwareSqlAlchemyStore
    versions.create_model_version = _checked(
        _in_own_location(versions.create_model_version), _of_version, lambda _: handlers._get_tracking_store()
    )


def _of_version(call: Arguments) -> Named:
    yield RUN, call.get("run_id")
    yield MODEL, call.get("model_id")


def _with_own_assessments(method: Any) -> Any:
    """A trace brings its assessments along with their ids, and MLflow writes over the rows that have those ids.

    One that overrides another is believed too: who deletes it makes the other one valid again, whosever that is.
    """

    @functools.wraps(method)
    def checked(store: Any, trace_info: Any) -> Any:
        sent = {each.assessment_id for each in trace_info.assessments if each.assessment_id}
        overridden = {each.overrides for each in trace_info.assessments if each.overrides}
        if sent or overridden:
            with store.ManagedSessionMaker() as session:
                known = session.query(SqlAssessments.assessment_id, SqlAssessments.trace_id).filter(
                    SqlAssessments.assessment_id.in_(sent | overridden)
                )
                traces = dict(map(tuple, known))
            trace = trace_info.trace_id
            if taken := sorted(each for each in sent if traces.get(each, trace) != trace):
                raise MlflowException(
                    f"The assessment ids {', '.join(taken)} belong to another trace; send these without an id.",
                    error_code=INVALID_PARAMETER_VALUE,
                )
            if missing := sorted(each for each in overridden - sent if traces.get(each) != trace):
                raise MlflowException(
                    f"There is no assessment {', '.join(missing)} of this trace to override; name one of its own.",
                    error_code=RESOURCE_DOES_NOT_EXIST,
                )
        return method(store, trace_info)

    return checked


def _for_one_workspace(method: Any) -> Any:
    """A budget of scope GLOBAL counts what every team spends and stops every team, and a team's Admin could make it."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(store: Any, *args: Any, **options: Any) -> Any:
        if signature.bind(store, *args, **options).arguments.get("target_scope") == BudgetTargetScope.GLOBAL:
            raise MlflowException(
                "A budget of scope GLOBAL is for all teams, which share this platform; use the scope WORKSPACE.",
                error_code=INVALID_PARAMETER_VALUE,
            )
        return method(store, *args, **options)

    return checked


def _in_own_location(method: Any) -> Any:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def checked(store: Any, *args: Any, **options: Any) -> Any:
        source = str(signature.bind(store, *args, **options).arguments.get("source") or "")
        if urlsplit(source).scheme in _LOCATIONS and not is_own(urlsplit(source).path, store._get_active_workspace()):
            raise MlflowException(
                f"The source {source!r} of the model version is not in this workspace; use a run's or a model's own.",
                error_code=INVALID_PARAMETER_VALUE,
            )
        return method(store, *args, **options)

    return checked


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
                word = getattr(kind, "value", kind)
                raise MlflowException(
                    f"There is no {word} {', '.join(sorted(missing))} in this workspace; name one of its own.",
                    error_code=RESOURCE_DOES_NOT_EXIST,
                )
        return method(store, *args, **options)

    return checked


def _own(store: Any, kind: Any, ids: list[str]) -> set[str]:
    """Return those of the ids that are of the present workspace."""
    if kind is EXPERIMENT and not all(each.isdecimal() for each in ids):
        return set()
    with store.ManagedSessionMaker() as session:
        if kind in _COLUMNS:
            column = _COLUMNS[kind]
            query = store._get_query(session, column.class_).filter(column.in_(ids)).with_entities(column)
            return {str(found) for (found,) in query}
        return {str(found) for found in store._filter_entity_ids(session, kind, ids)}
