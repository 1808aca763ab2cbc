"""Ask every route of MLflow's own application, and print what each answered as JSON.

Run as a script, by the Python of the image and by that of the checkout, with the same MLflow: a package that a route
needs and the image lacks shows as a different answer. Needs only what MLflow itself needs.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

FOLDER = tempfile.mkdtemp()
os.environ |= {
    "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{FOLDER}/tracking.db",
    "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{FOLDER}/tracking.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{FOLDER}/artifacts",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}

# It must be set before these are loaded.
import requests  # noqa: E402
import uvicorn  # noqa: E402
from mlflow.server import app as flask_app  # noqa: E402
from mlflow.server.fastapi_app import app  # noqa: E402

# Not asked: the first fetches a list from the internet, the second makes demonstration data for half a minute.
_LEFT_OUT = ("gateway/supported-models", "demo/generate")
_SECONDS = 20


def routes() -> list[tuple[str, str]]:
    """Method and path of each route, with 1 for every parameter."""
    flask = ((method, rule.rule) for rule in flask_app.url_map.iter_rules() for method in rule.methods or ())
    fastapi = ((method, path) for path, methods in _fastapi(app.routes) for method in methods)
    found = {(method, re.sub(r"<[^>]+>|{[^}]+}", "1", path)) for method, path in (*flask, *fastapi)}
    asked = [route for route in found if route[0] not in ("HEAD", "OPTIONS") and not route[1].endswith(_LEFT_OUT)]
    return sorted(asked)


def _fastapi(found: Any) -> Iterator[tuple[str, set[str]]]:
    for route in found:
        if getattr(route, "methods", None):
            yield route.path, route.methods


def arguments(url: str) -> dict[str, Any]:
    """Arguments that many routes know, of things that exist where that is cheap."""

    def make(path: str, body: dict[str, Any]) -> Any:
        return requests.post(f"{url}/api/2.0/mlflow/{path}", json=body, timeout=_SECONDS).json()

    experiment = make("experiments/create", {"name": "every route"})["experiment_id"]
    run = make("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    make("registered-models/create", {"name": "model"})
    return {
        "alias": "a",
        "artifact_path": "a",
        "dataset_id": "d-1",
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "filter": "",
        "key": "k",
        "locations": [{"mlflow_experiment": {"experiment_id": experiment}}],
        "max_results": 5,
        "metric_key": "k",
        "model_id": "m-1",
        "name": "model",
        "path": "a",
        "query": "{ __typename }",
        "records": json.dumps([{"inputs": {"question": "?"}}]),
        "request_id": "tr-1",
        "run_id": run,
        "run_ids": [run],
        "run_uuid": run,
        "source": "mlflow-artifacts:/a",
        "trace_id": "tr-1",
        "value": "1",
        "version": "1",
    }


def answers(url: str) -> dict[str, str]:
    """Status and error code of each route, asked with nothing and with arguments; for a failure, its message too."""
    known = arguments(url)
    plain = {name: value for name, value in known.items() if isinstance(value, str)}
    found = {}
    for method, path in routes():
        filled: dict[str, Any] = {"params": plain} if method == "GET" else {"json": known}
        for what, request in (("nothing", {}), ("arguments", filled)):
            found[f"{method} {path} with {what}"] = _answer(method, url + path, request)
    return found


def _answer(method: str, url: str, request: dict[str, Any]) -> str:
    try:
        with requests.request(method, url, timeout=_SECONDS, stream=True, allow_redirects=False, **request) as answer:
            text = answer.text
            failed = answer.status_code >= 500
            code = re.search(r'"error_code": ?"([A-Z_]+)"', text)
            return f"{answer.status_code} {code[1] if code else ''} {_message(text) if failed else ''}".strip()
    except requests.RequestException as error:
        return type(error).__name__


def _message(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"[0-9a-f]{8,}|/\S+", "…", text)[:200]


def main() -> None:
    """Serve on a free port of this machine and ask."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        found = answers(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.should_exit = True
        thread.join(10)
    json.dump(found, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # what a route may have started in the background is of no interest


if __name__ == "__main__":
    main()
