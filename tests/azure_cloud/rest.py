"""The management REST face for what no resource type covers: jobs are started and watched, deleted vaults purged.

Plain HTTP on 127.0.0.1; IDs are those of Azure, `api-version` is required as there.
"""

from __future__ import annotations

import json
import threading
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.azure_cloud.cloud import Azure, RefusedError


class _Handler(BaseHTTPRequestHandler):
    server: Face

    def do_POST(self) -> None:
        path = self._path()
        if path is None:
            return
        if path.lower().endswith("/start"):
            self._answer(lambda: self.server.start_job(path[: -len("/start")]))
        elif path.lower().endswith("/purge") and "/deletedvaults/" in path.lower():
            self._answer(lambda: self.server.purge(path.split("/")[-2]))
        else:
            self._answer(lambda: self.server.missing(path))

    def do_GET(self) -> None:
        path = self._path()
        if path is not None:
            self._answer(lambda: self.server.get(path))

    def _path(self) -> str | None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        if "api-version" not in parse_qs(address.query):
            refused = RefusedError(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
            self._send(refused.status, {"error": {"code": refused.code, "message": str(refused)}})
            return None
        return address.path

    def _answer(self, ask: Any) -> None:
        try:
            status, body = ask()
        except RefusedError as refused:
            status, body = refused.status, {"error": {"code": refused.code, "message": str(refused)}}
        self._send(status, body)

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Calls are written down by the Azure, not on stderr."""


class Face(ThreadingHTTPServer):
    """The REST server. An execution succeeds, unless `outcomes` says how the next ones of a job end."""

    daemon_threads = True

    def __init__(self, azure: Azure, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.azure = azure
        self.outcomes: dict[str, list[str]] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start_job(self, job: str) -> tuple[int, dict[str, Any]]:
        """A new execution, which is Running on the first look and has ended on the second."""
        fault = self.azure.fault("start", job)
        if job.lower() not in self.azure.resources or "/jobs/" not in job.lower():
            return self.missing(job)
        if fault == "throttled":
            raise RefusedError(429, "TooManyRequests", "The request is being throttled.")
        name = f"{job.rsplit('/', 1)[1]}-{uuid.uuid4().hex[:7]}"
        identifier = f"{job}/executions/{name}"
        queue = self.outcomes.get(job.rsplit("/", 1)[1], [])
        outcome = queue.pop(0) if queue else "Succeeded"
        self.azure.executions[identifier.lower()] = {"id": identifier, "name": name, "ends": outcome, "looks": 0}
        self.azure.save()
        return HTTPStatus.OK, {"id": identifier, "name": name}

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """An execution, the executions of a job, or a resource's body."""
        if path.lower().endswith("/executions"):
            below = [e for key, e in self.azure.executions.items() if key.startswith(f"{path.lower()}/")]
            return HTTPStatus.OK, {"value": [_execution(one) for one in below]}
        if execution := self.azure.executions.get(path.lower()):
            execution["looks"] += 1
            self.azure.save()
            return HTTPStatus.OK, _execution(execution)
        if resource := self.azure.resources.get(path.lower()):
            return HTTPStatus.OK, {"id": resource["id"], **resource["body"]}
        return self.missing(path)

    def purge(self, vault: str) -> tuple[int, dict[str, Any]]:
        self.azure.purge(vault)
        return HTTPStatus.ACCEPTED, {}

    def missing(self, path: str) -> tuple[int, dict[str, Any]]:
        raise RefusedError(404, "ResourceNotFound", f"The Resource '{path}' was not found.")


def _execution(execution: dict[str, Any]) -> dict[str, Any]:
    status = execution["ends"] if execution["looks"] > 1 else "Running"
    return {"id": execution["id"], "name": execution["name"], "properties": {"status": status}}
