"""Things that exist on a platform, so that wrong requests get past the question whether what they name is there."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from tests.end_to_end.fuzz.asking import Answer, Request, ask
from tests.end_to_end.fuzz.generating import Known

_TRACES: Final = "/api/3.0/mlflow/traces"


def make(url: str) -> Known:
    """Make one thing of each kind and give their names, by the names of the fields that take them.

    Raises AssertionError where the platform does not make one.
    """
    mark = uuid.uuid4().hex[:8]
    experiment = _post(url, "experiments/create", {"name": f"fuzz-{mark}"})["experiment_id"]
    runs = [
        _post(url, "runs/create", {"experiment_id": experiment, "start_time": 1, "run_name": f"r{number}"})["run"]
        for number in range(2)
    ]
    run_ids = [run["info"]["run_id"] for run in runs]
    metric = {"key": "m", "value": 1.0, "timestamp": 1, "step": 0}
    for run_id in run_ids:
        batch = {"metrics": [metric], "params": [{"key": "p", "value": "1"}], "tags": [{"key": "k", "value": "v"}]}
        _post(url, "runs/log-batch", {"run_id": run_id, **batch})
    artifact = f"{experiment}/{run_ids[0]}/artifacts/a.txt"
    put = Request(operation="", method="PUT", target=f"/api/2.0/mlflow-artifacts/artifacts/{artifact}", body=b"kept")
    _made(ask(url, put), put)
    model = f"fuzz-model-{mark}"
    _post(url, "registered-models/create", {"name": model})
    source = {"name": model, "source": f"mlflow-artifacts:/{experiment}/{run_ids[0]}/artifacts", "run_id": run_ids[0]}
    _post(url, "model-versions/create", source)
    _post(url, "registered-models/alias", {"name": model, "alias": "champion", "version": "1"})
    logged = _post(url, "logged-models", {"experiment_id": experiment, "source_run_id": run_ids[0]})["model"]["info"]
    dataset = _send(url, "/api/3.0/mlflow/datasets/create", {"name": f"d-{mark}", "experiment_ids": [experiment]})
    trace_id = f"tr-{uuid.uuid4().hex}"
    _send(url, _TRACES, {"trace": {"trace_info": _trace(trace_id, experiment)}})
    values: dict[str, Sequence[str]] = {
        "experiment_id": (experiment, "0"),
        "run_id": run_ids,
        "run_uuid": run_ids,
        "source_run_id": run_ids,
        "name": (model, f"fuzz-{mark}"),
        "experiment_name": (f"fuzz-{mark}",),
        "version": ("1",),
        "alias": ("champion",),
        "key": ("k", "p", "m"),
        "tag_key": ("k",),
        "metric_key": ("m",),
        "model_id": (logged["model_id"],),
        "dataset_id": (dataset["dataset"]["dataset_id"],),
        "trace_id": (trace_id,),
        "request_id": (trace_id,),
        "path": ("a.txt", ""),
        "artifact_path": (artifact, str(experiment)),
        "source": (source["source"],),
        "status": ("FINISHED", "ACTIVE", "READY"),
        "value": ("v", json.dumps({"a": 1})),
        "filter": ("", "name = 'x'", "metrics.m > 0", "tags.k = 'v'"),
        "filter_string": ("", "name = 'x'"),
        "order_by": ("name ASC", "metrics.m DESC", "creation_time"),
        "page_token": ("", base64.b64encode(b'{"offset": 5}').decode()),
        "provider": ("openai", "anthropic"),
    }
    return Known(values)


def _trace(trace_id: str, experiment: str) -> dict[str, Any]:
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "trace_id": trace_id,
        "trace_location": location,
        "request_time": now,
        "state": "OK",
        "execution_duration": "1s",
    }


def _post(url: str, path: str, body: dict[str, Any]) -> Any:
    return _send(url, f"/api/2.0/mlflow/{path}", body)


def _send(url: str, target: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = Request(operation="", method="POST", target=target, headers=headers, body=json.dumps(body).encode())
    return json.loads(_made(ask(url, request), request).body)


def _made(answer: Answer, request: Request) -> Answer:
    assert answer.status == 200, (str(request), answer)
    return answer
