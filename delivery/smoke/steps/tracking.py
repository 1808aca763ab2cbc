"""Experiment, runs, parameters, tags, metrics and a dataset."""

from __future__ import annotations

import time

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, RunStatus

from delivery.smoke.bench import Bench
from delivery.smoke.check import UnexpectedError, expect, expect_in
from delivery.smoke.web import ask, post_from_page

SERVER_SECONDS = 15
PARAMETERS = {"depth": "3", "loss": "log_loss", "note": "naïve baseline, 50 % of the data"}
TAGS = {"team": "smoke", "stage": "first try"}
CURVES, POINTS = 10, 100  # together the 1000 metrics that one batch may hold
NESTED_TAG = "mlflow.parentRunId"


def server(bench: Bench) -> str:
    """The server answers, and is an MLflow."""
    version = ask(bench.url, "GET", "/version", timeout=SERVER_SECONDS).text.strip()
    if not version[:1].isdigit() or len(version) > 40:
        raise UnexpectedError(f"GET /version answered {version[:40]!r}, which is no version; is this an MLflow server?")
    expect("GET /health", ask(bench.url, "GET", "/health", timeout=SERVER_SECONDS).text.strip(), "OK")
    return f"MLflow {version}, client {mlflow.__version__}"


def experiment(bench: Bench) -> str:
    """An experiment of our own is made and found by its name."""
    bench.made.experiment_name = bench.experiment_name
    bench.made.experiment_id = bench.client.create_experiment(bench.experiment_name)
    found = bench.client.get_experiment_by_name(bench.experiment_name)
    expect("experiment by name", found and found.experiment_id, bench.made.experiment_id)
    # The fluent API, which the model and trace steps use, keeps the experiment in this process.
    mlflow.set_experiment(experiment_id=bench.made.experiment_id)
    return f"id {bench.made.experiment_id}"


def run(bench: Bench) -> str:
    """A run with parameters and tags, one of them set later, reads back as written."""
    made = bench.client.create_run(bench.made.experiment_id, run_name="parent", tags={"team": TAGS["team"]})
    bench.made.run_id = made.info.run_id
    bench.client.log_batch(made.info.run_id, params=[Param(key, value) for key, value in PARAMETERS.items()])
    for key, value in TAGS.items():
        bench.client.set_tag(made.info.run_id, key, value)
    found = bench.client.get_run(made.info.run_id)
    expect("parameters", found.data.params, PARAMETERS)
    expect("tags", {key: found.data.tags.get(key) for key in TAGS}, TAGS)
    return f"{len(PARAMETERS)} parameters, {len(TAGS)} tags"


def metrics(bench: Bench) -> str:
    """1000 metrics of one batch read back, each with value, step and time."""
    start = int(time.time() * 1000)
    batch = [metric(curve, step, start) for curve in range(CURVES) for step in range(POINTS)]
    bench.client.log_batch(bench.made.run_id, metrics=batch)
    for curve in range(CURVES):
        history = bench.client.get_metric_history(bench.made.run_id, f"curve_{curve}")
        found = sorted((item.step, item.value, item.timestamp) for item in history)
        wanted = [(item.step, item.value, item.timestamp) for item in batch if item.key == f"curve_{curve}"]
        expect(f"history of curve_{curve}", found, wanted)
    latest = bench.client.get_run(bench.made.run_id).data.metrics
    expect("latest metrics", latest, {item.key: item.value for item in batch if item.step == POINTS - 1})
    return f"{len(batch)} metrics"


def metric(curve: int, step: int, start: int) -> Metric:
    """One point of a curve; `start` is the time of step 0 in milliseconds since the epoch."""
    return Metric(f"curve_{curve}", (curve - 4) / (step + 3), start + step, step)


def nested_run(bench: Bench) -> str:
    """A run inside the run is found by its parent."""
    tags = {NESTED_TAG: bench.made.run_id}
    made = bench.client.create_run(bench.made.experiment_id, run_name="child", tags=tags)
    bench.made.nested_run_id = made.info.run_id
    found = bench.client.search_runs([bench.made.experiment_id], f"tags.{NESTED_TAG} = '{bench.made.run_id}'")
    expect("runs of the parent", [item.info.run_id for item in found], [made.info.run_id])
    return ""


def dataset(bench: Bench) -> str:
    """A dataset that went into the run is found in it, and in the experiment's list of datasets."""
    table = np.arange(12.0).reshape(4, 3)
    data = mlflow.data.from_numpy(table, name=bench.dataset_name)
    with mlflow.start_run(run_id=bench.made.run_id):
        mlflow.log_input(data, context="training")
    inputs = bench.client.get_run(bench.made.run_id).inputs.dataset_inputs
    found = [(item.dataset.name, item.dataset.digest, [tag.value for tag in item.tags]) for item in inputs]
    expect("datasets of the run", found, [(bench.dataset_name, data.digest, ["training"])])
    body = {"experiment_ids": [bench.made.experiment_id]}
    listed = post_from_page(bench.url, "/ajax-api/2.0/mlflow/experiments/search-datasets", body)
    summaries = [(item["name"], item["digest"]) for item in listed.get("dataset_summaries", [])]
    expect_in("datasets of the experiment", (bench.dataset_name, data.digest), summaries)
    return f"digest {data.digest}"


def finished(bench: Bench) -> str:
    """Both runs end, and say when."""
    wanted = RunStatus.to_string(RunStatus.FINISHED)
    for run_id in (bench.made.nested_run_id, bench.made.run_id):
        bench.client.set_terminated(run_id, status=wanted)
        info = bench.client.get_run(run_id).info
        expect("status of the run", info.status, wanted)
        if not info.end_time or info.end_time < info.start_time:
            raise UnexpectedError(f"end of the run: found {info.end_time}, expected a time after {info.start_time}")
    return ""
