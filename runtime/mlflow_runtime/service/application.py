"""What makes a service operable, around the application that answers."""

from __future__ import annotations

from starlette.types import ASGIApp

from mlflow_runtime import metrics
from mlflow_runtime.metrics import spool as spool  # joins the metrics
from mlflow_runtime.middleware import templates
from mlflow_runtime.middleware.load_shedding import Shedding
from mlflow_runtime.middleware.observed import Observed
from mlflow_runtime.service.settings import Settings


def operable(app: ASGIApp, found: Settings) -> ASGIApp:
    """Ids, log lines and metrics for every request, those among them that are turned away. MLflow must be loaded."""
    metrics.describe(found.role)
    return Observed(Shedding(app, found.max_in_flight), templates.of_mlflow())
