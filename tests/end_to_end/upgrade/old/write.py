"""Make data with the MLflow that is installed, and print what was made as JSON: `write.py NAME [traces]`."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

RUNS, METRICS, SIZE = 8, 25, 200_000


class _Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    def predict(self, model_input: Any) -> Any:
        return model_input


def _run(experiment: str, number: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_params({"number": number, "long": "x" * 400})
        mlflow.set_tags({"made_by": mlflow.__version__})
        for step in range(METRICS):
            mlflow.log_metric("loss", number + step / 100, step=step)
        file = Path(folder) / "data.bin"
        file.write_bytes(bytes([number % 256]) * SIZE)
        mlflow.log_artifact(str(file), "files")
        return {"run_id": run.info.run_id, "number": number, "artifact_uri": run.info.artifact_uri}


def _model(experiment: str, name: str) -> dict[str, Any]:
    with mlflow.start_run(experiment_id=experiment) as run:
        third = mlflow.__version__.startswith("3.")
        place = {"name": "model"} if third else {"artifact_path": "model"}
        mlflow.pyfunc.log_model(python_model=_Model(), registered_model_name=name, pip_requirements=[], **place)
        client = MlflowClient()
        client.set_registered_model_alias(name, "champion", "1")
        client.set_model_version_tag(name, "1", "checked", "yes")
        return {"name": name, "run_id": run.info.run_id, "uri": client.get_model_version_download_uri(name, "1")}


def _traces(experiment: str) -> list[str]:
    mlflow.set_experiment(experiment_id=experiment)
    found = []
    for number in range(5):
        with mlflow.start_span(f"span {number}") as span:
            span.set_inputs({"number": number})
        found.append(str(getattr(span, "trace_id", None) or span.request_id))
    flush = getattr(mlflow, "flush_trace_async_logging", None)
    if flush:
        flush()
    return found


if __name__ == "__main__":
    name = sys.argv[1]
    made = mlflow.create_experiment(name)
    found = {
        "mlflow": mlflow.__version__,
        "experiment": made,
        "metrics": METRICS,
        "size": SIZE,
        "runs": [_run(made, number) for number in range(RUNS)],
        "model": _model(made, f"{name}-model"),
        "traces": _traces(made) if "traces" in sys.argv[2:] else [],
    }
    print(json.dumps(found))
