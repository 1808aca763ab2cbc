"""The class of every route of MLflow: what a request for it does, and so which role it takes. The one table.

A route is `METHOD TEMPLATE`. The twins below `/ajax-api/` are those below `/api/`, and every parameter is `{}`. A route
that is not listed has no class, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from mlflow_runtime.middleware.access.roles import Role


class Class(StrEnum):
    """What a request does."""

    OPEN = "open"
    """Shows the page, its files and what the caller is; any role in any workspace is enough."""
    READ = "read"
    """Reads from a workspace."""
    WRITE = "write"
    """Changes what a workspace tracks, or has a model of its AI gateway answer, which costs."""
    REGISTER = "register"
    """Changes the registry: what others deploy."""
    ADMINISTER = "administer"
    """Changes what acts for the workspace: credentials, endpoints, budgets, webhooks."""
    FORBIDDEN = "forbidden"
    """Is not done here by anybody."""


LEAST_ROLE: Final[Mapping[Class, Role]] = {
    Class.READ: Role.READER,
    Class.WRITE: Role.CONTRIBUTOR,
    Class.REGISTER: Role.REGISTRAR,
    Class.ADMINISTER: Role.ADMIN,
}
"""The least role in the workspace; OPEN takes any role anywhere, FORBIDDEN has none."""

_M2: Final = "/api/2.0/mlflow"
_M3: Final = "/api/3.0/mlflow"
_A: Final = "/api/2.0/mlflow-artifacts"
_MCP: Final = f"{_M3}/mcp-servers"
_AI: Final = f"{_M3}/gateway"

_LISTED: Final[Mapping[Class, tuple[str, ...]]] = {
    Class.OPEN: (
        *("GET /", "GET /health", "GET /version", "GET /build/{}", "GET /static-files/{}"),
        *(f"GET {_M3}/server-info", f"GET {_M3}/workspaces", f"GET {_M3}/workspaces/{{}}"),
        *(f"GET {_M3}/ui-telemetry", f"POST {_M3}/ui-telemetry"),
    ),
    Class.READ: (
        *("GET /get-artifact", "GET /model-versions/get-artifact", "GET /graphql", "POST /graphql"),
        *(f"GET {_A}/artifacts", f"GET {_A}/artifacts/{{}}", f"GET {_A}/presigned/{{}}"),
        *(f"GET {_M2}/artifacts/list", f"POST {_M2}/artifacts/presigned-download-url"),
        *(f"GET {_M2}/experiments/{name}" for name in ("get", "get-by-name", "search")),
        *(f"POST {_M2}/experiments/{name}" for name in ("search", "search-datasets")),
        # MLflow's path, without the slash.
        "POST /api/2.0mlflow/experiments/search-datasets",
        *(f"GET {_M2}/metrics/{name}" for name in ("get-history", "get-history-bulk", "get-history-bulk-interval")),
        *(f"GET {_M2}/runs/get", f"POST {_M2}/runs/search"),
        *(f"GET {_M2}/logged-models/{{}}", f"GET {_M2}/logged-models/{{}}/artifacts/directories"),
        *(f"GET {_M2}/logged-models/{{}}/artifacts/files", f"POST {_M2}/logged-models/search"),
        *(f"GET {_M2}/model-versions/{name}" for name in ("get", "get-download-uri", "search")),
        *(f"GET {_M2}/registered-models/{name}" for name in ("alias", "get", "get-latest-versions", "search")),
        f"POST {_M2}/registered-models/get-latest-versions",
        *(f"GET {_M2}/traces", f"GET {_M2}/traces/{{}}/info", f"GET {_M2}/get-trace-artifact"),
        *(f"GET {_M2}/get-online-trace-details", f"GET {_M2}/unified-traces"),
        *(f"GET {_M2}/webhooks", f"GET {_M2}/webhooks/{{}}"),
        *(f"GET {_M3}/traces/{name}" for name in ("{}", "{}/assessments/{}", "batchGet", "get")),
        *(f"POST {_M3}/traces/{name}" for name in ("batchGetInfos", "calculate-filter-correlation", "metrics")),
        *(f"POST {_M3}/traces/search", f"GET {_M3}/get-trace-artifact"),
        *(f"GET {_M3}/datasets/{name}" for name in ("{}", "{}/experiment-ids", "{}/records", "search")),
        f"POST {_M3}/datasets/search",
        *(f"GET {_M3}/issues/{{}}", f"POST {_M3}/issues/search"),
        *(f"GET {_M3}/label-schemas/{name}" for name in ("get", "get-by-name", "list")),
        *(f"GET {_M3}/prompt-optimization/jobs/{name}" for name in ("{}", "search")),
        f"POST {_M3}/prompt-optimization/jobs/search",
        *(f"GET {_M3}/review-queues/{name}" for name in ("get", "get-by-name", "items/list", "list")),
        *(f"GET {_M3}/scorers/{name}" for name in ("get", "list", "online-configs", "versions")),
        *(f"GET {_M3}/jobs/{{}}", "GET /api/3.0/jobs/{}", "POST /api/3.0/jobs/search"),
        *(f"GET {_MCP}{path}" for path in ("", "/endpoints", "/{}", "/{}/versions", "/{}/versions/{}")),
        *(f"GET {_MCP}/{{}}/{path}" for path in ("endpoints", "endpoints/{}", "aliases/{}")),
        *(f"GET {_AI}/endpoints/{name}" for name in ("get", "list", "bindings/list")),
        *(f"GET {_AI}/budgets/{name}" for name in ("get", "list", "windows")),
        *(f"GET {_AI}/guardrails/{name}" for name in ("get", "list", "list-for-endpoint")),
        *(f"GET {_AI}/model-definitions/{name}" for name in ("get", "list")),
        *(f"GET {_AI}/{name}" for name in ("provider-config", "supported-models", "supported-providers")),
        "GET /gateway/mlflow/v1/models",
    ),
    Class.WRITE: (
        "POST /v1/traces",
        *(f"PUT {_A}/artifacts/{{}}", f"DELETE {_A}/artifacts/{{}}"),
        *(f"POST {_A}/mpu/{name}/{{}}" for name in ("abort", "complete", "create")),
        f"POST {_M2}/artifacts/presigned-upload-url",
        *(f"POST {_M2}/experiments/{name}" for name in ("create", "delete", "delete-experiment-tag", "restore")),
        *(f"POST {_M2}/experiments/{name}" for name in ("set-experiment-tag", "update")),
        *(f"POST {_M2}/runs/{name}" for name in ("create", "delete", "delete-tag", "log-batch", "log-inputs")),
        *(f"POST {_M2}/runs/{name}" for name in ("log-metric", "log-model", "log-parameter", "outputs", "restore")),
        *(f"POST {_M2}/runs/{name}" for name in ("set-tag", "update", "create-promptlab-run")),
        f"POST {_M2}/upload-artifact",
        *(f"POST {_M2}/logged-models", f"PATCH {_M2}/logged-models/{{}}", f"DELETE {_M2}/logged-models/{{}}"),
        *(f"POST {_M2}/logged-models/{{}}/params", f"PATCH {_M2}/logged-models/{{}}/tags"),
        f"DELETE {_M2}/logged-models/{{}}/tags/{{}}",
        *(f"POST {_M2}/traces", f"PATCH {_M2}/traces/{{}}", f"PATCH {_M2}/traces/{{}}/tags"),
        f"DELETE {_M2}/traces/{{}}/tags",
        *(f"POST {_M2}/traces/{name}" for name in ("delete-traces", "link-prompts", "link-to-run")),
        *(f"POST {_M3}/traces", f"POST {_M3}/traces/delete-traces", f"POST {_M3}/traces/{{}}/assessments"),
        *(f"{method} {_M3}/traces/{{}}/assessments/{{}}" for method in ("PATCH", "DELETE")),
        *(f"{method} {_M3}/traces/{{}}/tags" for method in ("PATCH", "DELETE")),
        *(f"POST {_M3}/datasets/{name}" for name in ("create", "{}/add-experiments", "{}/remove-experiments")),
        *(f"POST {_M3}/datasets/{{}}/records", f"DELETE {_M3}/datasets/{{}}/records"),
        *(f"DELETE {_M3}/datasets/{{}}", f"PATCH {_M3}/datasets/{{}}/tags", f"DELETE {_M3}/datasets/{{}}/tags/{{}}"),
        *(f"POST {_M3}/issues", f"PATCH {_M3}/issues/{{}}", f"POST {_M3}/issues/invoke"),
        *(f"POST {_M3}/label-schemas/create", f"DELETE {_M3}/label-schemas/delete"),
        f"PATCH {_M3}/label-schemas/update",
        *(f"POST {_M3}/prompt-optimization/jobs{path}" for path in ("", "/{}/cancel")),
        f"DELETE {_M3}/prompt-optimization/jobs/{{}}",
        *(f"POST {_M3}/review-queues/{name}" for name in ("create", "delete", "get-or-create-user", "update")),
        *(f"POST {_M3}/review-queues/items/{name}" for name in ("add", "remove", "set-status")),
        *(f"POST {_M3}/scorers/register", f"DELETE {_M3}/scorers/delete", f"PUT {_M3}/scorers/online-config"),
        *(f"POST {_M3}/scorer/invoke", f"POST {_M3}/genai/evaluate/invoke"),
        *(f"PATCH {_M3}/jobs/cancel/{{}}", "POST /api/3.0/jobs/", "PATCH /api/3.0/jobs/cancel/{}"),
        # Its GET asks a model too.
        *(f"GET {_M2}/gateway-proxy", f"POST {_M2}/gateway-proxy"),
        *("POST /gateway/{}/mlflow/invocations", "POST /gateway/proxy/{}/{}", "POST /gateway/typesafe/v1/systemone"),
        *(f"POST /gateway/{name}/v1/chat/completions" for name in ("mlflow", "openai")),
        *(f"POST /gateway/openai/v1/{name}" for name in ("embeddings", "responses", "responses/compact")),
        "POST /gateway/anthropic/v1/messages",
        *(f"POST /gateway/gemini/v1beta/models/{{}}:{name}" for name in ("generateContent", "streamGenerateContent")),
    ),
    Class.REGISTER: (
        *(f"POST {_M2}/registered-models/{name}" for name in ("alias", "create", "rename", "set-tag")),
        *(f"DELETE {_M2}/registered-models/{name}" for name in ("alias", "delete", "delete-tag")),
        f"PATCH {_M2}/registered-models/update",
        *(f"POST {_M2}/model-versions/{name}" for name in ("create", "set-tag", "transition-stage")),
        *(f"DELETE {_M2}/model-versions/{name}" for name in ("delete", "delete-tag")),
        f"PATCH {_M2}/model-versions/update",
        *(f"POST {_MCP}{path}" for path in ("", "/{}/versions", "/{}/versions/{}/tags", "/{}/tags", "/{}/aliases")),
        *(f"PATCH {_MCP}/{path}" for path in ("{}", "{}/versions/{}")),
        *(f"DELETE {_MCP}/{path}" for path in ("{}", "{}/versions/{}", "{}/versions/{}/tags/{}", "{}/tags/{}")),
        f"DELETE {_MCP}/{{}}/aliases/{{}}",
    ),
    Class.ADMINISTER: (
        *(f"POST {_M2}/webhooks", f"PATCH {_M2}/webhooks/{{}}", f"DELETE {_M2}/webhooks/{{}}"),
        f"POST {_M2}/webhooks/{{}}/test",
        *(f"{method} {_MCP}/{{}}/endpoints/{{}}" for method in ("PATCH", "DELETE")),
        f"POST {_MCP}/{{}}/endpoints",
        *(f"GET {_AI}/secrets/{name}" for name in ("config", "get", "list")),
        *(f"POST {_AI}/secrets/{name}" for name in ("create", "update")),
        f"DELETE {_AI}/secrets/delete",
        *(f"POST {_AI}/budgets/{name}" for name in ("create", "update")),
        f"DELETE {_AI}/budgets/delete",
        *(f"POST {_AI}/endpoints/{name}" for name in ("create", "update", "set-tag", "bindings/create")),
        *(f"POST {_AI}/endpoints/models/{name}" for name in ("attach", "detach")),
        *(f"DELETE {_AI}/endpoints/{name}" for name in ("delete", "delete-tag", "bindings/delete")),
        *(f"POST {_AI}/guardrails/{name}" for name in ("create", "add-to-endpoint")),
        *(f"DELETE {_AI}/guardrails/{name}" for name in ("delete", "remove-from-endpoint")),
        f"PATCH {_AI}/guardrails/update-config",
        *(f"POST {_AI}/model-definitions/{name}" for name in ("create", "update")),
        f"DELETE {_AI}/model-definitions/delete",
    ),
    Class.FORBIDDEN: (
        # Teams are declared in the stack.
        *(f"POST {_M3}/workspaces", f"PATCH {_M3}/workspaces/{{}}", f"DELETE {_M3}/workspaces/{{}}"),
        *(f"POST {_M3}/demo/{name}" for name in ("delete", "generate")),
        # MLflow's Assistant, which acts on the server's machine (middleware/own_routes.py).
        *(f"GET {_M3}/assistant/{name}" for name in ("config", "providers", "providers/{}/health")),
        *(f"GET {_M3}/assistant/{name}" for name in ("providers/{}/models", "sessions/{}/stream")),
        *(f"POST {_M3}/assistant/{name}" for name in ("message", "skills/install")),
        *(f"POST {_M3}/assistant/sessions/{{}}/{name}" for name in ("permission", "tool-result")),
        *(f"PUT {_M3}/assistant/config", f"PATCH {_M3}/assistant/sessions/{{}}"),
    ),
}

SHARED_MODEL_ROUTES: Final = frozenset(
    {
        "GET /model-versions/get-artifact",
        *(f"GET {_M2}/registered-models/{name}" for name in ("alias", "get", "get-latest-versions")),
        f"POST {_M2}/registered-models/get-latest-versions",
        *(f"GET {_M2}/model-versions/{name}" for name in ("get", "get-download-uri", "search")),
    }
)
"""What reads one registered model by its name, where only models of a workspace are shared."""

SHARED_ARTIFACT_ROUTES: Final = frozenset(
    {f"GET {_A}/artifacts", f"GET {_A}/artifacts/{{}}", f"GET {_A}/presigned/{{}}"}
)
"""What reads artifacts by a path, where only those of an experiment are shared."""

CLASSES: Final[Mapping[str, Class]] = {route: kind for kind, listed in _LISTED.items() for route in listed}

_PARAMETER: Final = re.compile(r"<[^>]+>|{[^}]*}")


def route(method: str, template: str) -> str:
    """Return the name of a route in the table, from a template of Flask or FastAPI."""
    path = _PARAMETER.sub("{}", template)
    twin = f"/api/{path.removeprefix('/ajax-api/')}" if path.startswith("/ajax-api/") else path
    return f"{'GET' if method == 'HEAD' else method} {twin}"


def duplicates() -> Iterator[str]:
    """Yield the routes that the table lists twice."""
    seen: set[str] = set()
    for listed in _LISTED.values():
        for each in listed:
            if each in seen:
                yield each
            seen.add(each)
