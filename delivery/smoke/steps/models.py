"""A scikit-learn model on its way from training to use."""

from __future__ import annotations

import functools
from typing import Any

import mlflow
import numpy as np

from delivery.smoke.bench import ALIAS, Bench
from delivery.smoke.check import expect

STAGE = "Staging"
READY_SECONDS = 60
INPUTS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
LABELS = np.array([0, 0, 1, 1])


@functools.cache
def trained() -> Any:
    """The fitted model; scikit-learn is imported only now since that takes most of a second."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    return LogisticRegression().fit(INPUTS, LABELS)


def logged(bench: Bench) -> str:
    """The model, its signature and an example of its input are logged to the run."""
    model = trained()
    signature = mlflow.models.infer_signature(INPUTS, model.predict(INPUTS))
    with mlflow.start_run(run_id=bench.made.run_id):
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=signature,
            input_example=INPUTS[:2],
            # Given, since MLflow would otherwise load the model in a process of its own to find them out.
            pip_requirements=["scikit-learn"],
        )
    bench.made.logged_model_id = info.model_id
    found = bench.client.get_logged_model(info.model_id)
    expect("run of the logged model", found.source_run_id, bench.made.run_id)
    expect("signature of the logged model", mlflow.models.get_model_info(info.model_uri).signature, signature)
    return f"id {info.model_id}"


def registered(bench: Bench) -> str:
    """The model becomes version 1 of a registered model, and gets an alias."""
    bench.made.model_name = bench.model_name
    version = mlflow.register_model(
        f"models:/{bench.made.logged_model_id}", bench.model_name, await_registration_for=READY_SECONDS
    )
    bench.made.model_version = str(version.version)
    expect("version of a new registered model", bench.made.model_version, "1")
    bench.client.set_registered_model_alias(bench.model_name, ALIAS, bench.made.model_version)
    bench.made.model_alias = ALIAS
    found = bench.client.get_model_version_by_alias(bench.model_name, ALIAS)
    expect("version behind the alias", str(found.version), bench.made.model_version)
    expect("run of the model version", found.run_id, bench.made.run_id)
    return f"{bench.model_name} version {version.version} as {ALIAS}"


def by_alias(bench: Bench) -> str:
    """The model, loaded by its alias, predicts what the trained one does."""
    loaded = mlflow.pyfunc.load_model(f"models:/{bench.model_name}@{ALIAS}")
    predicted = loaded.predict(INPUTS).tolist()
    expect("predictions", predicted, trained().predict(INPUTS).tolist())
    return f"predicts {predicted}"


def stage(bench: Bench) -> str:
    """The stage of a version changes: deprecated, but much used and still there."""
    bench.client.transition_model_version_stage(bench.model_name, bench.made.model_version, STAGE)
    latest = bench.client.get_latest_versions(bench.model_name, stages=[STAGE])
    expect(f"versions in {STAGE}", [str(item.version) for item in latest], [bench.made.model_version])
    return STAGE
