"""No location that a client names leads a service to its own disk or to another cloud."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mlflow_runtime.patches.artifact_locations import OPEN, close_others
from tests.support.services import Service

ATTACHMENT = "3f1b4f0e-9f0e-4d6c-8d6c-0d6c4d6f3c1a"


def post(service: Service, path: str, body: dict[str, Any]) -> Any:
    answer = service.ask(path, json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert answer.status == 200, answer
    return answer.body


def new_experiment(service: Service, location: str | None = None) -> str:
    named = {"name": f"locations-{uuid.uuid4()}"} | ({} if location is None else {"artifact_location": location})
    return str(post(service, "/api/2.0/mlflow/experiments/create", named)["experiment_id"])


@pytest.mark.parametrize("prefix", ["file://", ""])
def test_a_run_does_not_live_on_the_services_disk(tracking: Service, tmp_path: Path, prefix: str) -> None:
    experiment = new_experiment(tracking, f"{prefix}{tmp_path}")
    run = post(tracking, "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    upload = tracking.ask(f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a.txt", b"x", method="POST")
    listed = tracking.ask(f"/api/2.0/mlflow/artifacts/list?run_id={run}")
    read = tracking.ask(f"/get-artifact?run_id={run}&path=a.txt")
    # An upload by way of tracking is refused before its location is looked at.
    assert (upload.status, listed.status, read.status) == (403, 400, 400)
    assert b"outside this platform" in read.content
    assert list(tmp_path.iterdir()) == []


def test_a_traces_tag_does_not_lead_to_the_services_disk(tracking: Service, tmp_path: Path) -> None:
    (tmp_path / "attachments").mkdir()
    for file in (tmp_path / "traces.json", tmp_path / "attachments" / ATTACHMENT):
        file.write_text('{"spans": ["private"]}')
    trace = f"tr-{uuid.uuid4().hex}"
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": new_experiment(tracking)}}
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    info = {"trace_id": trace, "trace_location": location, "request_time": moment, "state": "OK"}
    post(tracking, "/api/3.0/mlflow/traces", {"trace": {"trace_info": {**info, "execution_duration": "1s"}}})
    tag = json.dumps({"key": "mlflow.artifactLocation", "value": tmp_path.as_uri()}).encode()
    headers = {"Content-Type": "application/json"}
    assert tracking.ask(f"/api/3.0/mlflow/traces/{trace}/tags", tag, method="PATCH", headers=headers).status == 200
    asked = f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace}"
    for answer in (tracking.ask(asked), tracking.ask(f"{asked}&path={ATTACHMENT}")):
        assert answer.status == 400, answer
        assert b"private" not in answer.content


@pytest.mark.parametrize("location", ["s3://bucket/x", "gs://bucket/x", "dbfs:/x"])
def test_a_cloud_that_is_not_the_platforms_is_a_bad_request(tracking: Service, location: str) -> None:
    experiment = new_experiment(tracking, location)
    run = post(tracking, "/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    assert tracking.ask(f"/api/2.0/mlflow/artifacts/list?run_id={run}").status == 400


def test_only_what_is_open_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact import artifact_repository_registry as mlflow_registry

    registry = mlflow_registry.ArtifactRepositoryRegistry()
    for scheme, repository in mlflow_registry._artifact_repository_registry._registry.items():
        registry.register(scheme, repository)
    monkeypatch.setattr(mlflow_registry, "_artifact_repository_registry", registry)
    before = dict(registry.get_registered_artifact_repositories())
    assert before.keys() > OPEN
    close_others()
    after = registry.get_registered_artifact_repositories()
    assert {scheme for scheme in before if after[scheme] is before[scheme]} == OPEN
    with pytest.raises(MlflowException, match="outside this platform"):
        get_artifact_repository("/etc")
