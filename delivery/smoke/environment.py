"""The environment in which the MLflow client works: the user's credentials, none of the user's other MLflow settings.

MLflow reads its variables at import and at every call, and writes some (tracking URI, experiment id) into
`os.environ`. All of that stays inside this process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

CREDENTIALS = frozenset(
    {
        "MLFLOW_ENTRA_CLIENT_ID",
        "MLFLOW_TRACKING_AUTH",
        "MLFLOW_TRACKING_AWS_SIGV4",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH",
        "MLFLOW_TRACKING_INSECURE_TLS",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_WORKSPACE",
    }
)
FOREIGN_PREFIXES = ("MLFLOW_", "_MLFLOW_", "OTEL_")  # OTEL_ would send the traces to the user's own collector
QUIET = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Traces are sent before the traced call returns, so that reading them back needs no waiting.
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
}
RETRIES = 1  # forgives one lost connection, and still fails in seconds where MLflow's own seven take minutes


def client_environment(inherited: Mapping[str, str], *, request_seconds: int, ca_bundle: Path | None) -> dict[str, str]:
    """The environment to work in.

    Args:
        inherited: what the user has set; credentials and everything that is not MLflow's or OpenTelemetry's stay.
        request_seconds: longest wait for a connection or for the next bytes of an answer.
        ca_bundle: certificates to trust instead of those that the user's environment names.
    """
    environment = {
        name: value for name, value in inherited.items() if name in CREDENTIALS or not name.startswith(FOREIGN_PREFIXES)
    }
    environment |= QUIET | request_limits(request_seconds)
    if ca_bundle is not None:
        # MLflow's own TLS settings would win over the bundle.
        for name in ("MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH"):
            environment.pop(name, None)
        environment |= {"REQUESTS_CA_BUNDLE": str(ca_bundle), "SSL_CERT_FILE": str(ca_bundle)}
    return environment


def verification(environment: Mapping[str, str]) -> str | bool:
    """What the MLflow client verifies certificates against in this environment: a file, True (the usual), or False."""
    if environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def request_limits(seconds: int) -> dict[str, str]:
    """The variables that bound each request of the MLflow client, which reads them at every call."""
    return {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(RETRIES),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    }


def adopt(environment: Mapping[str, str]) -> None:
    """Make it this process's environment; the one that started the process keeps its own."""
    os.environ.clear()
    os.environ.update(environment)
