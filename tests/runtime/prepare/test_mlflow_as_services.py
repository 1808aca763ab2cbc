"""MLflow's own handlers and stores work as the least-privilege roles, on databases that prepare made.

One process plays both services: it sends requests to MLflow's application with the stores of the tracking service or
with those of the registry service behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from cryptography.fernet import Fernet
from mlflow.entities import LoggedModelInput, LoggedModelOutput
from mlflow.entities.span import create_mlflow_span
from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR, app, handlers
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore
from mlflow.tracing.trace_rollup_service import validate_sql_trace_rollup_startup
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from mlflow_runtime.prepare.steps import prepare
from tests.runtime.prepare.pairs import Pair
from tests.support.servers import KeyVault

Json = dict[str, Any]


class Service:
    """Sends API requests to MLflow as one of the two services; every answer must be 200."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pair: Pair, role: str) -> None:
        self._monkeypatch = monkeypatch
        self._environment = {
            BACKEND_STORE_URI_ENV_VAR: _url(pair, role, pair.tracking),
            REGISTRY_STORE_URI_ENV_VAR: _url(pair, role, pair.registry),
            ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        }

    def take_over(self) -> None:
        """The stores of the application are those of this service from here on."""
        for name, value in self._environment.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(handlers, "_tracking_store", None)
        self._monkeypatch.setattr(handlers, "_model_registry_store", None)

    def answer(self, method: str, path: str, body: Json | None = None, version: str = "2.0") -> tuple[int, Json]:
        self.take_over()
        address = f"/api/{version}/mlflow/{path}"
        if method == "GET":
            response = app.test_client().get(address, query_string=body)
        else:
            response = app.test_client().open(address, method=method, json=body or {})
        return response.status_code, cast(Json, response.get_json(force=True))

    def __call__(self, method: str, path: str, body: Json | None = None, version: str = "2.0") -> Json:
        status, found = self.answer(method, path, body, version)
        assert status == 200, (path, found)
        return found


def _url(pair: Pair, role: str, database: str) -> str:
    return f"postgresql+psycopg2://{role}@127.0.0.1:{pair.server.port}/{database}"


@pytest.fixture(scope="module")
def pair(clone: Callable[[], Pair]) -> Pair:
    made = clone()
    prepare(made.settings(), KeyVault().client)
    return made


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("MLFLOW_CRYPTO_KEK_PASSPHRASE", "p" * 64)
    # MLflow sets these itself when it opens a store; named here so that they are put back.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "")
    yield monkeypatch
    for store in (handlers._tracking_store, handlers._model_registry_store):
        if store is not None:
            store._dispose_engine()


@pytest.fixture
def tracking(environment: pytest.MonkeyPatch, pair: Pair) -> Service:
    return Service(environment, pair, "mlflow-tracking")


@pytest.fixture
def registry(environment: pytest.MonkeyPatch, pair: Pair) -> Service:
    return Service(environment, pair, "mlflow-registry")


def an_experiment(tracking: Service, name: str) -> str:
    return cast(str, tracking("POST", "experiments/create", {"name": name})["experiment_id"])


def a_run(tracking: Service, experiment_id: str) -> str:
    created = tracking("POST", "runs/create", {"experiment_id": experiment_id, "start_time": 1, "run_name": "r"})
    return cast(str, created["run"]["info"]["run_id"])


def test_experiments_and_runs(tracking: Service) -> None:
    experiment = an_experiment(tracking, "experiments and runs")
    tracking("POST", "experiments/set-experiment-tag", {"experiment_id": experiment, "key": "k", "value": "v"})
    tracking("POST", "experiments/update", {"experiment_id": experiment, "new_name": "renamed"})
    run = a_run(tracking, experiment)
    for step in range(2):
        tracking("POST", "runs/log-metric", {"run_id": run, "key": "m", "value": step, "timestamp": 1, "step": step})
    tracking("POST", "runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
    tracking("POST", "runs/set-tag", {"run_id": run, "key": "t", "value": "1"})
    tracking("POST", "runs/set-tag", {"run_id": run, "key": "t", "value": "2"})
    batch = {
        "run_id": run,
        "metrics": [{"key": f"m{i}", "value": i, "timestamp": 1, "step": 0} for i in range(900)],
        "params": [{"key": f"p{i}", "value": "x"} for i in range(50)],
        "tags": [{"key": f"t{i}", "value": "x"} for i in range(50)],
    }
    tracking("POST", "runs/log-batch", batch)
    tracking("POST", "runs/delete-tag", {"run_id": run, "key": "t0"})
    source = {"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s"}}
    tracking("POST", "runs/log-inputs", {"run_id": run, "datasets": [{**source, "tags": [{"key": "a", "value": "b"}]}]})
    tracking("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": 2, "run_name": "s"})
    found = tracking(
        "POST", "runs/search", {"experiment_ids": [experiment], "filter": "metrics.m = 1 and tags.t = '2'"}
    )
    data = found["runs"][0]["data"]
    assert (len(data["metrics"]), len(data["params"])) == (901, 51)
    history = tracking("GET", "metrics/get-history", {"run_id": run, "metric_key": "m"})
    assert len(history["metrics"]) == 2
    for thing, key, value in (("runs", "run_id", run), ("experiments", "experiment_id", experiment)):
        tracking("POST", f"{thing}/delete", {key: value})
        tracking("POST", f"{thing}/restore", {key: value})
    assert tracking("POST", "experiments/search", {"max_results": 10, "filter": "name = 'renamed'"})["experiments"]


def test_traces_and_assessments(tracking: Service) -> None:
    experiment = an_experiment(tracking, "traces")
    run = a_run(tracking, experiment)
    trace_id = "tr-" + "a" * 32
    info = {
        "trace_id": trace_id,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
        "request_time": "2025-01-01T00:00:00Z",
        "execution_duration": "1s",
        "state": "OK",
        "tags": {"k": "v"},
        "trace_metadata": {"mlflow.traceInputs": "{}"},
    }
    tracking("POST", "traces", {"trace": {"trace_info": info}}, "3.0")
    context = SpanContext(int("a" * 32, 16), 1, is_remote=False, trace_flags=TraceFlags(1))
    ended = ReadableSpan(
        name="s",
        context=context,
        start_time=time.time_ns(),
        end_time=time.time_ns(),
        attributes={"mlflow.traceRequestId": f'"{trace_id}"', "mlflow.spanType": '"LLM"'},
    )
    tracking.take_over()
    store = handlers._get_tracking_store()
    store.log_spans(experiment, [create_mlflow_span(ended, trace_id)])
    tracking("PATCH", f"traces/{trace_id}/tags", {"key": "k", "value": "w"}, "3.0")
    feedback = {
        "assessment_name": "good",
        "trace_id": trace_id,
        "source": {"source_type": "HUMAN", "source_id": "me"},
        "create_time": "2025-01-01T00:00:00Z",
        "last_update_time": "2025-01-01T00:00:00Z",
        "feedback": {"value": True},
    }
    tracking("POST", f"traces/{trace_id}/assessments", {"assessment": feedback}, "3.0")
    tracking("POST", "traces/link-to-run", {"trace_ids": [trace_id], "run_id": run})
    locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}]
    assert len(tracking("POST", "traces/search", {"locations": locations}, "3.0")["traces"]) == 1
    assert store.get_trace(trace_id).data.spans[0].name == "s"
    deleted = tracking("POST", "traces/delete-traces", {"experiment_id": experiment, "request_ids": [trace_id]})
    assert deleted == {"traces_deleted": 1}


def test_evaluation_datasets(tracking: Service) -> None:
    experiment = an_experiment(tracking, "datasets")
    created = tracking(
        "POST", "datasets/create", {"name": "eval", "experiment_ids": [experiment], "tags": '{"a": "b"}'}, "3.0"
    )
    dataset = created["dataset"]["dataset_id"]
    tracking("POST", f"datasets/{dataset}/records", {"records": '[{"inputs": {"q": 1}}]'}, "3.0")
    assert "q" in tracking("GET", f"datasets/{dataset}/records", version="3.0")["records"]
    tracking("DELETE", f"datasets/{dataset}", version="3.0")


def test_secrets_and_endpoints_of_the_gateway(tracking: Service) -> None:
    secret = {"secret_name": "key", "secret_value": {"api_key": "v"}, "provider": "openai"}
    made = tracking("POST", "gateway/secrets/create", secret, "3.0")["secret"]
    assert tracking("GET", "gateway/secrets/list", version="3.0")["secrets"]
    tracking("DELETE", "gateway/secrets/delete", {"secret_id": made["secret_id"]}, "3.0")


def test_a_logged_model_becomes_a_version_that_tags_it_in_tracking(
    tracking: Service, registry: Service, pair: Pair
) -> None:
    experiment = an_experiment(tracking, "models")
    run = a_run(tracking, experiment)
    body = {"experiment_id": experiment, "name": "m", "source_run_id": run, "params": [{"key": "p", "value": "1"}]}
    model = tracking("POST", "logged-models", body)["model"]["info"]
    model_id, source = model["model_id"], model["artifact_uri"]
    tracking("PATCH", f"logged-models/{model_id}", {"model_id": model_id, "status": "LOGGED_MODEL_READY"})
    tracking("PATCH", f"logged-models/{model_id}/tags", {"tags": [{"key": "a", "value": "b"}]})
    tracking.take_over()
    handlers._get_tracking_store().log_inputs(run, models=[LoggedModelInput(model_id)])
    handlers._get_tracking_store().log_outputs(run, models=[LoggedModelOutput(model_id, 0)])
    assert tracking("POST", "logged-models/search", {"experiment_ids": [experiment]})["models"]

    registry("POST", "registered-models/create", {"name": "model", "tags": [{"key": "a", "value": "b"}]})
    for source_uri in (source, f"models:/{model_id}"):
        version = {"name": "model", "source": source_uri, "run_id": run, "model_id": model_id}
        registry("POST", "model-versions/create", version)
    tags = tracking("GET", f"logged-models/{model_id}")["model"]["info"]["tags"]
    (versions,) = [tag["value"] for tag in tags if tag["key"] == "mlflow.modelVersions"]
    assert versions.count('"name": "model"') == 2
    status, found = registry.answer("DELETE", f"logged-models/{model_id}", {"model_id": model_id})
    assert status != 200
    assert "permission denied" in str(found)


def test_the_registry(tracking: Service, registry: Service) -> None:
    run = a_run(tracking, "0")
    registry("POST", "registered-models/create", {"name": "plain"})
    source = tracking("GET", "runs/get", {"run_id": run})["run"]["info"]["artifact_uri"]
    version = {"name": "plain", "version": "1"}
    registry("POST", "model-versions/create", {"name": "plain", "source": source, "run_id": run})
    registry("POST", "registered-models/alias", {**version, "alias": "champion"})
    assert registry("GET", "registered-models/alias", {"name": "plain", "alias": "champion"})["model_version"]
    registry("POST", "model-versions/set-tag", {**version, "key": "a", "value": "b"})
    registry("DELETE", "model-versions/delete-tag", {**version, "key": "a"})
    registry(
        "POST", "model-versions/transition-stage", {**version, "stage": "Production", "archive_existing_versions": True}
    )
    registry("PATCH", "model-versions/update", {**version, "description": "d"})
    assert registry("POST", "registered-models/get-latest-versions", {"name": "plain"})["model_versions"]
    assert registry("GET", "model-versions/search", {"filter": f"run_id = '{run}'"})["model_versions"]
    assert tracking("GET", "registered-models/get", {"name": "plain"})["registered_model"]["name"] == "plain"
    status, found = tracking.answer("PATCH", "registered-models/update", {"name": "plain", "description": "no"})
    assert status != 200
    assert "permission denied" in str(found)
    registry("DELETE", "registered-models/alias", {"name": "plain", "alias": "champion"})
    registry("POST", "registered-models/rename", {"name": "plain", "new_name": "renamed"})
    registry("DELETE", "model-versions/delete", {"name": "renamed", "version": "1"})
    registry("DELETE", "registered-models/delete", {"name": "renamed"})


def test_prompts_and_webhooks(tracking: Service, registry: Service) -> None:
    prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    registry("POST", "registered-models/create", {"name": "prompt", "tags": [prompt]})
    text = {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}
    registry("POST", "model-versions/create", {"name": "prompt", "source": "dummy-source", "tags": [prompt, text]})
    hook = {
        "name": "hook",
        "url": "https://1.1.1.1/hook",
        "secret": "s",
        "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
        "status": "DISABLED",
    }
    made = registry("POST", "webhooks", hook)["webhook"]["webhook_id"]
    assert registry("GET", "webhooks")["webhooks"]
    assert tracking("GET", f"webhooks/{made}")["webhook"]["name"] == "hook"
    registry("PATCH", f"webhooks/{made}", {"description": "d"})
    registry("DELETE", f"webhooks/{made}")


def test_stores_open_without_making_anything(pair: Pair) -> None:
    for role in ("mlflow-tracking", "mlflow-registry"):
        store = TrackingStore(_url(pair, role, pair.tracking), "mlflow-artifacts:/")
        assert store.get_experiment("0").name == "Default"
        store._dispose_engine()
        validate_sql_trace_rollup_startup(_url(pair, role, pair.tracking))
