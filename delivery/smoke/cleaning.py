"""Removes what one run of the program made, found by its own names, and nothing else.

Experiment, runs and logged models end in MLflow's deleted state, from which `mlflow gc` purges them; registered
model, prompt, traces and artifacts are gone for good.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from mlflow.entities import Experiment, LifecycleStage, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from delivery.smoke.bench import Bench
from delivery.smoke.check import UnexpectedError, describe
from delivery.smoke.environment import request_limits
from delivery.smoke.limits import StopRequested

SECONDS = 60.0
REQUEST_SECONDS = 10
ABSENT = "RESOURCE_DOES_NOT_EXIST"


def clean(bench: Bench) -> list[str]:
    """Remove everything that can be removed; returns what is left over, each with the reason.

    Each kind is tried whatever becomes of the others. `StopRequested` ends it early: the rest is left over then.
    """
    os.environ.update(request_limits(REQUEST_SECONDS))
    left_over = []
    remaining = list(CLEANINGS)
    try:
        while remaining:
            try:
                remaining[0].action(bench)
            except Exception as error:  # noqa: BLE001  (the next kind can still be removed)
                left_over.append(f"{remaining[0].what(bench)}: {describe(error)}")
            remaining.pop(0)
    except StopRequested as stop:
        left_over += [f"{cleaning.what(bench)}: {stop}" for cleaning in remaining]
    return left_over


def _delete_model(bench: Bench) -> None:
    _unless_absent(lambda: bench.client.delete_registered_model(bench.model_name))


def _delete_prompt(bench: Bench) -> None:
    _unless_absent(lambda: bench.client.delete_prompt(bench.prompt_name))


def _delete_traces(bench: Bench) -> None:
    if experiment := _experiment(bench):
        found = bench.client.search_traces(locations=[experiment.experiment_id], include_spans=False)
        if trace_ids := [trace.info.trace_id for trace in found]:
            bench.client.delete_traces(experiment.experiment_id, trace_ids=trace_ids)


def _delete_artifacts(bench: Bench) -> None:
    experiment = _experiment(bench)
    if experiment is None:
        return
    location = experiment.artifact_location.rstrip("/")
    if location.rpartition("/")[2] != experiment.experiment_id:
        raise UnexpectedError(f"{location} may hold the artifacts of other experiments too")
    repository = get_artifact_repository(location, tracking_uri=bench.url)
    # A blob store, which has no folders, fails to delete from an empty one.
    if repository.list_artifacts():
        repository.delete_artifacts()
    if rest := repository.list_artifacts():
        raise UnexpectedError(f"still there: {', '.join(item.path for item in rest)}")


def _delete_logged_models(bench: Bench) -> None:
    if experiment := _experiment(bench):
        for model in bench.client.search_logged_models([experiment.experiment_id]):
            bench.client.delete_logged_model(model.model_id)


def _delete_experiment(bench: Bench) -> None:
    """Its runs too, which MLflow marks as deleted together with it; they are counted to be sure."""
    experiment = _experiment(bench)
    if experiment is None or experiment.lifecycle_stage == LifecycleStage.DELETED:
        return
    bench.client.delete_experiment(experiment.experiment_id)
    if runs := bench.client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY):
        raise UnexpectedError(f"{len(runs)} of its runs are still active")


def _experiment(bench: Bench) -> Experiment | None:
    return bench.client.get_experiment_by_name(bench.experiment_name)


def _unless_absent(delete: Callable[[], object]) -> None:
    try:
        delete()
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise


@dataclass(frozen=True, kw_only=True)
class _Cleaning:
    what: Callable[[Bench], str]
    action: Callable[[Bench], None]


# The experiment comes last: it is how the others are found.
CLEANINGS = (
    _Cleaning(what=lambda bench: f"registered model {bench.model_name}", action=_delete_model),
    _Cleaning(what=lambda bench: f"prompt {bench.prompt_name}", action=_delete_prompt),
    _Cleaning(what=lambda bench: f"traces of experiment {bench.experiment_name}", action=_delete_traces),
    _Cleaning(what=lambda bench: f"artifacts of experiment {bench.experiment_name}", action=_delete_artifacts),
    _Cleaning(what=lambda bench: f"logged models of experiment {bench.experiment_name}", action=_delete_logged_models),
    _Cleaning(what=lambda bench: f"experiment {bench.experiment_name} and its runs", action=_delete_experiment),
)
