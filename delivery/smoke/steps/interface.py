"""The routes that the web interface calls, with what it sends and what it shows of the answer."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from delivery.smoke.bench import Bench
from delivery.smoke.check import UnexpectedError, expect, expect_in
from delivery.smoke.steps import artifacts, traces, tracking
from delivery.smoke.web import ask, ask_json, post_from_page

SCRIPT = re.compile(r"""<script[^>]+src=["'](?P<path>[^"']+\.js)["']""")
SMALLEST_SCRIPT = 10_000
API = "/ajax-api/2.0/mlflow"

# The operations of MLflow 3.17's interface, with the directive and the kind of variables that it uses.
RUN_QUERY = """query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    apiError { code message }
    run {
      info { runName status runUuid experimentId artifactUri lifecycleStage startTime endTime }
      experiment { experimentId name artifactLocation lifecycleStage }
      modelVersions { name version status source }
      data { metrics { key value step timestamp } params { key value } tags { key value } }
      inputs { datasetInputs { dataset { digest name source sourceType } tags { key value } } }
      outputs { modelOutputs { modelId step } }
    }
  }
}"""
EXPERIMENT_QUERY = """query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!)
@component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetExperiment(input: $input) {
    apiError { code message }
    experiment { experimentId name artifactLocation lifecycleStage tags { key value } }
  }
}"""


def page(bench: Bench) -> str:
    """The page is MLflow's, and the script that it names is there."""
    html = ask(bench.url, "GET", "/").text
    expect_in("title of the page", "<title>MLflow</title>", html)
    script = SCRIPT.search(html)
    if script is None:
        raise UnexpectedError("GET / names no script, so the page stays empty")
    path = script["path"].removeprefix("./")
    path = path.removeprefix(urlsplit(bench.url).path)
    answer = ask(bench.url, "GET", f"/{path.lstrip('/')}")
    kind = answer.headers.get("Content-Type", "")
    if "javascript" not in kind or len(answer.content) < SMALLEST_SCRIPT:
        raise UnexpectedError(f"{path}: found {len(answer.content)} bytes of {kind or 'no type'}, expected a script")
    info = ask_json(bench.url, "GET", "/ajax-api/3.0/mlflow/server-info")
    expect_in("server-info", "store_type", info)
    return f"script of {len(answer.content) / 1e6:.1f} MB"


def run_artifacts(bench: Bench) -> str:
    """The artifact tree of a run, and the preview of a file in it."""
    listed = ask_json(bench.url, "GET", f"{API}/artifacts/list", params={"run_id": bench.made.run_id})
    expect_in("artifact tree", artifacts.SUMMARY, [item["path"] for item in listed.get("files", [])])
    for path, name in (
        (artifacts.SUMMARY, artifacts.SUMMARY),
        (f"{artifacts.FOLDER}/{artifacts.NOTE}", artifacts.NOTE),
    ):
        content = ask(bench.url, "GET", "/get-artifact", params={"run_uuid": bench.made.run_id, "path": path}).content
        expect(f"/get-artifact of {path}", content, artifacts.small_content(name))
    return "list, /get-artifact"


def model_artifacts(bench: Bench) -> str:
    """The model's description, as the pages of a model version and of a logged model get it."""
    version = {"name": bench.model_name, "version": bench.made.model_version, "path": "MLmodel"}
    described = ask(bench.url, "GET", "/model-versions/get-artifact", params=version).text
    expect_in("MLmodel of the version", bench.made.logged_model_id, described)
    logged = f"{API}/logged-models/{bench.made.logged_model_id}/artifacts"
    listed = ask_json(bench.url, "GET", f"{logged}/directories")
    expect_in("files of the logged model", "MLmodel", [item["path"] for item in listed.get("files", [])])
    same = ask(bench.url, "GET", f"{logged}/files", params={"artifact_file_path": "MLmodel"}).text
    expect("MLmodel of the logged model", same, described)
    return "/model-versions/get-artifact, logged model's files"


def graphql(bench: Bench) -> str:
    """The run and the experiment as their pages show them."""
    run = _query(bench, "GetRun", RUN_QUERY, {"data": {"runId": bench.made.run_id}}, "mlflowGetRun", "run")
    expect("run", run["info"]["runUuid"], bench.made.run_id)
    expect("experiment of the run", run["experiment"]["name"], bench.experiment_name)
    versions = [(item["name"], item["version"]) for item in run["modelVersions"]]
    expect("model versions of the run", versions, [(bench.model_name, bench.made.model_version)])
    expect("parameters", {item["key"]: item["value"] for item in run["data"]["params"]}, tracking.PARAMETERS)
    expect("number of metrics", len(run["data"]["metrics"]), tracking.CURVES)
    datasets = [item["dataset"]["name"] for item in run["inputs"]["datasetInputs"]]
    expect("datasets of the run", datasets, [bench.dataset_name])
    models = [item["modelId"] for item in run["outputs"]["modelOutputs"]]
    expect("logged models of the run", models, [bench.made.logged_model_id])
    variables = {"input": {"experimentId": bench.made.experiment_id}}
    operation = "MlflowGetExperimentQuery"
    experiment = _query(bench, operation, EXPERIMENT_QUERY, variables, "mlflowGetExperiment", "experiment")
    expect("experiment", experiment["name"], bench.experiment_name)
    return "run, experiment"


def metric_chart(bench: Bench) -> str:
    """The points of a curve."""
    wanted = {"run_ids": bench.made.run_id, "metric_key": "curve_0", "max_results": 320}
    answer = ask_json(bench.url, "GET", f"{API}/metrics/get-history-bulk-interval", params=wanted)
    found = sorted((item["step"], item["value"]) for item in answer.get("metrics", []))
    points = [tracking.metric(0, step, 0) for step in range(tracking.POINTS)]
    expect("points of curve_0", found, [(point.step, point.value) for point in points])
    return f"{len(found)} points"


def trace(bench: Bench) -> str:
    """The spans of a trace."""
    wanted = {"request_id": bench.made.trace_ids[0]}
    answer = ask_json(bench.url, "GET", "/ajax-api/3.0/mlflow/get-trace-artifact", params=wanted)
    expect("spans", sorted(item["name"] for item in answer.get("spans", [])), sorted(traces.SDK_SPANS))
    return f"{len(answer['spans'])} spans"


def _query(bench: Bench, operation: str, query: str, variables: dict[str, Any], field: str, part: str) -> Any:
    body = {"operationName": operation, "query": query, "variables": variables}
    answer = post_from_page(bench.url, "/graphql", body)
    if answer.get("errors"):
        raise UnexpectedError(f"graphql {operation} answered errors: {answer['errors']}")
    result = (answer.get("data") or {}).get(field) or {}
    if result.get("apiError") or not result.get(part):
        raise UnexpectedError(f"graphql {operation} answered no {part}: {result.get('apiError')}")
    return result[part]
