"""What an old version wrote, read through our services and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from tests.support.answer import Answer


class Asked(Protocol):
    """A service, or a gateway before it."""

    def ask(self, path: str, body: Any = None) -> Answer:
        """One request; a body goes as JSON."""
        ...


@dataclass(frozen=True)
class Services:
    """Who answers for each role."""

    tracking: Asked
    registry: Asked
    artifacts: Asked


def read_all(services: Services, made: Mapping[str, Any]) -> dict[str, int]:
    """Read everything of `made` and count it; fails at the first thing that is not as it was written."""
    for run in made["runs"]:
        _run(services, run, made)
    _model(services, made["model"])
    return {"runs": len(made["runs"]), "models": 1, "traces": _traces(services, made)}


def _run(services: Services, run: Mapping[str, Any], made: Mapping[str, Any]) -> None:
    found = _ok(services.tracking.ask(f"/api/2.0/mlflow/runs/get?run_id={run['run_id']}")).body["run"]
    params = {one["key"]: one["value"] for one in found["data"]["params"]}
    assert params == {"number": str(run["number"]), "long": "x" * 400}, params
    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run['run_id']}&metric_key=loss"
    values = [one["value"] for one in _ok(services.tracking.ask(path)).body["metrics"]]
    assert sorted(values) == [run["number"] + step / 100 for step in range(made["metrics"])], values
    content = bytes([run["number"]]) * made["size"]
    folder = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for service, address in (
        (services.artifacts, f"/api/2.0/mlflow-artifacts/artifacts/{folder}/files/data.bin"),
        (services.tracking, f"/get-artifact?run_id={run['run_id']}&path=files/data.bin"),
    ):
        assert _ok(service.ask(address)).content == content


def _model(services: Services, model: Mapping[str, Any]) -> None:
    base, name = "/api/2.0/mlflow", quote(model["name"])
    found = _ok(services.registry.ask(f"{base}/registered-models/alias?name={name}&alias=champion")).body
    assert found["model_version"]["version"] == "1"
    assert {"key": "checked", "value": "yes"} in found["model_version"]["tags"]
    uri = _ok(services.registry.ask(f"{base}/model-versions/get-download-uri?name={name}&version=1")).body
    assert uri["artifact_uri"] == model["uri"]
    path = uri["artifact_uri"].removeprefix("mlflow-artifacts:/")
    file = _ok(services.artifacts.ask(f"/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel"))
    assert b"python_function" in file.content


def _traces(services: Services, made: Mapping[str, Any]) -> int:
    """All of the experiment's traces, and no other number."""
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": made["experiment"]}}
    found = _ok(services.tracking.ask("/api/3.0/mlflow/traces/search", {"locations": [location], "max_results": 100}))
    ids = {trace["trace_id"] for trace in found.body.get("traces", [])}
    assert ids >= set(made["traces"]), (ids, made["traces"])
    for trace in made["traces"]:
        assert _ok(services.tracking.ask(f"/ajax-api/2.0/mlflow/get-trace-artifact?request_id={trace}")).body["spans"]
    return len(made["traces"])


def _ok(answer: Answer) -> Answer:
    assert answer.status == 200, (answer.status, answer.content[:500])
    return answer
