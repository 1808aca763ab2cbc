"""The routes that requests are made for: MLflow's own declarations, and what it declares nowhere, listed by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from mlflow.protos import (
    databricks_pb2,
    mlflow_artifacts_pb2,
    model_registry_pb2,
    service_pb2,
    webhooks_pb2,
)

_SERVICES: Final = (
    service_pb2.MlflowService,
    model_registry_pb2.ModelRegistryService,
    mlflow_artifacts_pb2.MlflowArtifactsService,
    webhooks_pb2.WebhookService,
)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One route. `path` has its parameters in braces.

    `message` is the protobuf descriptor of the arguments where MLflow declares one; otherwise `fields` names them.
    """

    method: str
    path: str
    message: Any = None
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@cache
def operations() -> tuple[Operation, ...]:
    """Every route that is asked, each once. The twins below `/ajax-api` are left to the one that makes the request."""
    return (*_declared(), *_LISTED)


def _declared() -> tuple[Operation, ...]:
    found = {}
    for service in _SERVICES:
        for method in service.DESCRIPTOR.methods:
            for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                # A parameter may name a field of a nested message; in the path it is the last part of that name.
                path = re.sub(
                    r"<(?:path:)?(\w+)>", r"{\1}", endpoint.path.replace("{assessment.trace_id}", "{trace_id}")
                )
                operation = Operation(
                    method=endpoint.method,
                    path=f"/api/{endpoint.since.major}.0{path}",
                    message=method.input_type,
                )
                found[str(operation)] = operation
    return tuple(found.values())


def _listed(method: str, path: str, *fields: str) -> Operation:
    return Operation(method=method, path=path, fields=fields)


_AJAX2: Final = "/ajax-api/2.0/mlflow"
_AJAX3: Final = "/ajax-api/3.0/mlflow"
_MCP: Final = "/api/3.0/mlflow/mcp-servers"

# Not here: demo/generate, which makes demonstration data for half a minute.
_LISTED: Final = (
    _listed("GET", "/get-artifact", "path", "run_id", "run_uuid"),
    _listed("GET", "/model-versions/get-artifact", "path", "name", "version"),
    _listed("GET", f"{_AJAX2}/metrics/get-history-bulk", "run_id", "metric_key", "max_results"),
    _listed(
        "GET",
        f"{_AJAX2}/metrics/get-history-bulk-interval",
        *("run_ids", "metric_key", "max_results", "start_step", "end_step"),
    ),
    _listed("POST", f"{_AJAX2}/experiments/search-datasets", "experiment_ids"),
    _listed(
        "POST",
        f"{_AJAX2}/runs/create-promptlab-run",
        *("experiment_id", "run_name", "tags", "prompt_template", "prompt_parameters", "model_route"),
        *("model_parameters", "model_input", "model_output", "model_output_parameters", "mlflow_version", "user_id"),
        "start_time",
    ),
    _listed("GET", f"{_AJAX2}/gateway-proxy", "gateway_path"),
    _listed("POST", f"{_AJAX2}/gateway-proxy", "gateway_path", "json_data"),
    _listed("POST", f"{_AJAX2}/upload-artifact", "run_uuid", "path"),
    _listed("GET", f"{_AJAX3}/get-trace-artifact", "request_id", "path"),
    _listed("GET", f"{_AJAX3}/ui-telemetry"),
    _listed("POST", f"{_AJAX3}/ui-telemetry", "records"),
    _listed("GET", f"{_AJAX3}/server-info"),
    _listed("GET", f"{_AJAX3}/gateway/supported-providers"),
    _listed("GET", f"{_AJAX3}/gateway/supported-models", "provider"),
    _listed("GET", f"{_AJAX3}/gateway/provider-config", "provider"),
    _listed("GET", f"{_AJAX3}/gateway/secrets/config"),
    _listed("POST", f"{_AJAX3}/scorer/invoke", "experiment_id", "serialized_scorer", "trace_ids", "log_assessments"),
    _listed("POST", f"{_AJAX3}/issues/invoke", "experiment_id", "trace_ids", "categories", "provider", "model"),
    _listed("POST", f"{_AJAX3}/genai/evaluate/invoke", "experiment_id", "trace_ids", "serialized_scorers"),
    _listed("POST", f"{_AJAX3}/demo/delete"),
    _listed("GET", f"{_AJAX3}/jobs/{{job_id}}"),
    _listed("PATCH", f"{_AJAX3}/jobs/cancel/{{job_id}}"),
    _listed("GET", "/ajax-api/3.0/jobs/{job_id}"),
    _listed("POST", "/ajax-api/3.0/jobs/", "job_name", "params", "timeout"),
    _listed("PATCH", "/ajax-api/3.0/jobs/cancel/{job_id}"),
    _listed("POST", "/ajax-api/3.0/jobs/search", "job_name", "params", "statuses"),
    _listed("GET", f"{_AJAX3}/assistant/config"),
    _listed("POST", f"{_AJAX3}/assistant/message", "message", "session_id"),
    _listed("GET", _MCP, "filter_string", "max_results", "order_by", "page_token"),
    _listed("POST", _MCP, "name", "description", "tags"),
    _listed("GET", f"{_MCP}/endpoints", "filter_string", "max_results", "page_token"),
    _listed("GET", f"{_MCP}/{{name}}"),
    _listed("PATCH", f"{_MCP}/{{name}}", "description", "icon"),
    _listed("DELETE", f"{_MCP}/{{name}}"),
    _listed("GET", f"{_MCP}/{{name}}/versions", "max_results", "page_token"),
    _listed("POST", f"{_MCP}/{{name}}/versions", "version", "source", "server_json", "status"),
    _listed("GET", f"{_MCP}/{{name}}/versions/{{version}}"),
    _listed("POST", f"{_MCP}/{{name}}/endpoints", "url", "version", "status", "transport"),
    _listed("POST", f"{_MCP}/{{name}}/tags", "key", "value"),
    _listed("POST", f"{_MCP}/{{name}}/aliases", "alias", "version"),
    _listed("POST", "/gateway/{name}/mlflow/invocations", "messages", "input", "stream"),
    _listed("POST", "/gateway/mlflow/v1/chat/completions", "model", "messages", "stream"),
    _listed("GET", "/gateway/mlflow/v1/models"),
    _listed("POST", "/gateway/openai/v1/embeddings", "model", "input"),
    _listed("POST", "/gateway/anthropic/v1/messages", "model", "messages"),
    _listed("POST", "/gateway/proxy/{name}/{path}", "model"),
    _listed("GET", "/static-files/{path}"),
    _listed("GET", "/health"),
    _listed("GET", "/version"),
    _listed("GET", "/"),
)
