"""Calls to Azure: tokens of the managed identity, requests to the blob store."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport
from prometheus_client import Counter, Histogram

from mlflow_runtime.azure import refusals
from mlflow_runtime.metrics import REGISTRY

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)

_tokens = Counter(
    "mlflow_identity_tokens",
    "Tokens that the identity's endpoint was asked for. A kept token does not count.",
    ("resource", "outcome"),
    registry=REGISTRY,
)
_blob_requests = Counter(
    "mlflow_blob_requests",
    "Requests to the blob store, retries among them; status is error where no answer came.",
    ("method", "status"),
    registry=REGISTRY,
)
_blob_seconds = Histogram(
    "mlflow_blob_request_duration_seconds",
    "From a request to the blob store to the headers of its answer.",
    ("method",),
    buckets=_BUCKETS,
    registry=REGISTRY,
)


def token(scope: str, *, refused: bool = False) -> None:
    """Count a token that is new, or one that was refused."""
    _tokens.labels(urlsplit(scope).hostname or scope, "refused" if refused else "new").inc()


class MeasuredTransport(RequestsTransport):  # type: ignore[misc]  # azure-core loads it lazily, without its type
    """The HTTP client of the blob store's, counted."""

    def send(self, request: Any, **options: Any) -> Any:
        """One request, without the pipeline's retries."""
        begun, status = time.monotonic(), "error"
        try:
            answer = super().send(request, **options)
            status = str(answer.status_code)
            if answer.status_code in (401, 403):
                code = answer.headers.get("x-ms-error-code") or answer.reason
                refusals.log(f"the blob store refuses a {request.method}", f"{status} {code}")
            return answer
        finally:
            _blob_requests.labels(request.method, status).inc()
            _blob_seconds.labels(request.method).observe(time.monotonic() - begun)
