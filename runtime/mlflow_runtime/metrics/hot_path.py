"""The hot path: whether it is on, and what became of the requests for its routes."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

from mlflow_runtime.metrics import REGISTRY

ON: Final = Gauge(
    "mlflow_hot_path_on", "1 while the hot path answers, 0 when MLflow answers every request.", registry=REGISTRY
)
_requests = Counter(
    "mlflow_hot_path_requests", "Requests in the form of the hot path, by outcome.", ("outcome",), registry=REGISTRY
)
ANSWERED: Final = _requests.labels("answered")
PASSED: Final = _requests.labels("passed")
LOST: Final = _requests.labels("lost")
