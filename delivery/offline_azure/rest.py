"""The management API for what no resource type covers, where its tokens come from, and the key of a stack's secrets.

Jobs are started and watched, apps and their revisions looked at, images imported, alerts listed, deleted vaults purged,
activity logs read. Plain HTTP on 127.0.0.1; IDs are those of Azure, `api-version` and a bearer token are required as
there. The token comes from `/msi/token`, which is what a managed identity asks on App Service (Microsoft Learn, "How to
use managed identities for App Service", REST endpoint reference): `DefaultAzureCredential` takes it from there with
`identity_environment`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from delivery.azure_types.type_tokens import AGENT_POOL, CLUSTER, CONTAINER_APP, JOB
from delivery.offline_azure import (
    activity_log,
    addresses,
    alerts,
    clusters,
    computed_outputs,
    executions,
    image_imports,
    postgres,
    revisions,
    rules,
    stacks_key,
    updates,
)
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.values import merged

BEARER: Final = "offline-token"
IDENTITY_HEADER: Final = "offline-identity"
MANAGEMENT: Final = ("https://management.azure.com", "https://management.core.windows.net")
_IDENTITY_PATH: Final = "/msi/token"
_IDENTITY_API_VERSION: Final = "2019-08-01"
_TOKEN_SECONDS: Final = 86400
_POLL_SECONDS: Final = 0.05
"""How long the server may take to notice that it is to stop: every offline preview waits for it."""


class Reply(NamedTuple):
    """Status, body and headers of an answer."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}


def identity_environment(url: str) -> dict[str, str]:
    """Return the variables that make a process an app with a managed identity of the management API at `url`."""
    return {"IDENTITY_ENDPOINT": f"{url}{_IDENTITY_PATH}", "IDENTITY_HEADER": IDENTITY_HEADER}


class _Handler(BaseHTTPRequestHandler):
    server: ManagementApi

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(lambda path, version: self.server.post(path, version, sent))

    def do_PUT(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.path.startswith(stacks_key.PATH):
            self._send(*stacks_key.answer(self.path, sent, self.headers.get("X-Vault-Token")), {})
        else:
            self._answer(lambda path, _: self.server.put(path, sent))

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == _IDENTITY_PATH:
            self._send(*self.server.token(query, self.headers.get("X-IDENTITY-HEADER")))
        elif address.path.lower().endswith(alerts.PATH):
            self._answer(lambda path, _: self.server.alerts(path, query))
        else:
            self._answer(lambda path, _: self.server.get(path, query))

    def _answer(self, ask: Any) -> None:
        address = urlsplit(self.path)
        try:
            if self.headers.get("Authorization") != f"Bearer {BEARER}":
                raise RefusedError(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
            if "api-version" not in (query := parse_qs(address.query)):
                raise RefusedError(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
            reply = ask(address.path, query["api-version"][0])
        except RefusedError as refused:
            reply = Reply(refused.status, {"error": {"code": refused.code, "message": refused.message}})
        self._send(*reply)

    def _send(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the Azure records each call."""


class ManagementApi(ThreadingHTTPServer):
    """Serves the REST API of an Azure. `Azure.outcomes` says how executions and revisions end.

    `api_servers` are real API servers behind clusters, by the clusters' IDs in lower case, and `cluster_token` is what
    they believe of the managed identity.
    """

    daemon_threads = True

    def __init__(self, azure: Azure, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.azure = azure
        self.api_servers: dict[str, clusters.ApiServer] = {}
        self.cluster_token = ""
        threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def outcomes(self) -> dict[str, list[str]]:
        return self.azure.outcomes

    def close(self) -> None:
        """Stop serving and free the port."""
        self.shutdown()
        self.server_close()

    def token(self, query: Mapping[str, str], header: str | None) -> Reply:
        """Return a token of the managed identity, for Azure Resource Manager or the API servers of clusters."""
        if header != IDENTITY_HEADER:
            return Reply(
                HTTPStatus.UNAUTHORIZED, {"statusCode": 401, "message": "X-IDENTITY-HEADER is missing or wrong."}
            )
        if query.get("api-version") != _IDENTITY_API_VERSION:
            message = f"api-version must be {_IDENTITY_API_VERSION}."
            return Reply(HTTPStatus.BAD_REQUEST, {"statusCode": 400, "message": message})
        resource = query.get("resource", "").rstrip("/")
        tokens = {**dict.fromkeys((*MANAGEMENT, self.url), BEARER), clusters.SERVER_APPLICATION: self.cluster_token}
        if not (token := tokens.get(resource)):
            message = f"AADSTS500011: no resource '{resource}'."
            return Reply(HTTPStatus.BAD_REQUEST, {"statusCode": 400, "message": message})
        answer = {
            "access_token": token,
            "client_id": computed_outputs.client()["clientId"],
            "expires_on": str(int(time.time()) + _TOKEN_SECONDS),
            "resource": resource,
            "token_type": "Bearer",
        }
        return Reply(HTTPStatus.OK, answer)

    def post(self, path: str, version: str = "", sent: bytes = b"") -> Reply:
        """Start a job, import an image, or purge a deleted vault. Raises RefusedError."""
        if path.lower().endswith("/start"):
            return self._start(path[: -len("/start")])
        if path.lower().endswith("/purge") and "/deletedvaults/" in path.lower():
            self.azure.purge(path.split("/")[-2])
            return Reply(HTTPStatus.ACCEPTED, {})
        if path.lower().endswith("/listclusterusercredential"):
            return self._credentials(path.rpartition("/")[0])
        if path.lower().endswith("/importimage"):
            request = image_imports.request(sent)
            operation = self.azure.import_image(path[: -len("/importImage")], version, request)
            return _under_way(f"{self.url}{operation}?api-version={version}")
        raise _missing(path)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """Return executions of a job, revisions of an app, one of either, a resource, or the activity log of one.

        Of an import it says only whether it has ended. Raises RefusedError.
        """
        if activity_log.PATH.fullmatch(path):
            return Reply(HTTPStatus.OK, self.azure.activity(query or {}))
        if self.azure.is_import(path):
            return Reply(HTTPStatus.OK, {}) if self.azure.import_ended(path) else _under_way()
        with self.azure.called("get", "", path):
            above, _, last = path.rpartition("/")
            if last.lower() == "executions" and above.lower() in self.azure.resources:
                below = executions.of_job(self.azure.executions, above)
                return Reply(HTTPStatus.OK, {"value": [executions.answer(one) for one in below]})
            if execution := self.azure.executions.get(path.lower()):
                execution["looks"] += 1
                return Reply(HTTPStatus.OK, executions.answer(execution))
            app, _, revision = path.partition("/revisions")
            if revision:
                return Reply(HTTPStatus.OK, self._revisions(app, revision.strip("/")))
            if resource := self.azure.resources.get(path.lower()):
                return Reply(HTTPStatus.OK, _resource(resource))
            if own := clusters.pool(self.azure.resources, path):
                return Reply(HTTPStatus.OK, _pool(path, own))
        raise _missing(path)

    def put(self, path: str, sent: Mapping[str, Any]) -> Reply:
        """Change a pool of a cluster. Raises RefusedError."""
        wanted = {"agentPoolName": addresses.own_name(path), **sent["properties"]}
        if resource := self.azure.resources.get(path.lower()):
            self.azure.update(AGENT_POOL, path, {**resource["inputs"], **wanted})
            return self.get(path)
        with self.azure.called("update", AGENT_POOL, path):
            own = clusters.pool(self.azure.resources, path)
            if own is None:
                raise _missing(path)
            if refused := updates.refusal(AGENT_POOL, path, own, wanted, self.azure.resources):
                raise refused
            if refused := rules.refusal(AGENT_POOL, path, wanted, self.azure.resources):
                raise refused
            own.update(sent["properties"])
        return Reply(HTTPStatus.OK, _pool(path, own))

    def alerts(self, path: str, query: Mapping[str, str]) -> Reply:
        """Return a page of the alerts that fired in a scope. Raises RefusedError."""
        found, rest = self.azure.alerts(path[: -len(alerts.PATH)], query)
        body: dict[str, Any] = {"value": found}
        if rest is not None:
            body["nextLink"] = f"{self.url}{path}?{urlencode({**query, '$skiptoken': str(rest)})}"
        return Reply(HTTPStatus.OK, body)

    def _start(self, path: str) -> Reply:
        """Start an execution, which is Running at the first GET and has ended at the second."""
        with self.azure.called("start", JOB, path):
            job = self.azure.resources.get(path.lower())
            if job is None or job["type"] != JOB:
                raise _missing(path)
            outcomes = self.azure.outcomes.get(addresses.own_name(path), [])
            execution = executions.started(job, outcomes.pop(0) if outcomes else self._outcome(job))
            self.azure.executions[execution["id"].lower()] = execution
            return Reply(HTTPStatus.OK, {"id": execution["id"], "name": execution["name"]})

    def _credentials(self, path: str) -> Reply:
        """Where the API server of a cluster is: that of `api_servers`, else the name that the cluster has."""
        with self.azure.called("listClusterUserCredential", CLUSTER, path):
            cluster = self.azure.resources.get(path.lower())
            if cluster is None or cluster["type"] != CLUSTER:
                raise _missing(path)
            return Reply(HTTPStatus.OK, clusters.credentials(cluster, self.api_servers.get(path.lower())))

    def _outcome(self, job: Mapping[str, Any]) -> str:
        """A job that prepares a database fails where it has no rights on it."""
        return executions.FAILED if postgres.locked_out(job, self.azure.resources) else executions.SUCCEEDED

    def _revisions(self, path: str, name: str) -> Mapping[str, Any]:
        app = self.azure.resources.get(path.lower())
        if app is None or app["type"] != CONTAINER_APP:
            raise _missing(path)
        history = app["revisions"]
        if not name:
            return {"value": [revisions.answer(app["id"], history, one) for one in history]}
        for one in history:
            if one["name"].lower() == name.lower():
                one["looks"] += 1
                return revisions.answer(app["id"], history, one)
        raise _missing(f"{path}/revisions/{name}")


def _under_way(location: str = "") -> Reply:
    return Reply(HTTPStatus.ACCEPTED, {}, {"Retry-After": "1", **({"Location": location} if location else {})})


def _resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in resource["body"].items() if key not in ("name", "type")}
    answer = {"provisioningState": "Succeeded", **resource.get("answer", {})}
    if resource["type"] == CLUSTER:
        body = merged({"properties": computed_outputs.computed(CLUSTER, resource["id"], resource["inputs"])}, body)
    address = {"id": resource["id"], "name": addresses.own_name(resource["id"])}
    address["type"] = addresses.arm_type(resource["id"])
    return merged({**address, **body}, {"properties": answer})  # type: ignore[no-any-return]


def _pool(path: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**inputs, "provisioningState": "Succeeded"}
    return {"id": path, "name": addresses.own_name(path), "properties": properties}


def _missing(path: str) -> RefusedError:
    return RefusedError(404, "ResourceNotFound", f"The Resource '{path}' was not found.")
