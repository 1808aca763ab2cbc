"""Requests: how many, how long, how many at once, how many rejected."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from mlflow_runtime.metrics import REGISTRY

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds: from a statement by primary key to the upload of a large artifact.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_requests = Counter(
    "mlflow_http_requests", "Requests that were answered.", ("method", "route", "status"), registry=REGISTRY
)
_seconds = Histogram(
    "mlflow_http_request_duration_seconds",
    "From a request's headers to the end of its answer.",
    ("method", "route"),
    buckets=_BUCKETS,
    registry=REGISTRY,
)
IN_FLIGHT: Final = Gauge("mlflow_http_requests_in_flight", "Requests that are being answered.", registry=REGISTRY)
LIMIT: Final = Gauge(
    "mlflow_http_requests_limit", "Requests in flight beyond which more are rejected.", registry=REGISTRY
)
SHED: Final = Counter(
    "mlflow_http_requests_shed", "Requests that were rejected, since too many were in flight.", registry=REGISTRY
)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. `route` is a template."""
    known = method if method in _METHODS else "other"
    _requests.labels(known, route, str(status)).inc()
    _seconds.labels(known, route).observe(seconds)
