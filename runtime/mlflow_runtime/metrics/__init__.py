"""What a service counts, in Prometheus' text format at `/metrics`.

Labels take few values: a route by its template and never a path, a database by its name, a method that HTTP has.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Info, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# A series beside each counter, with the time of its first use.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_build = Info("mlflow_runtime", "Which role this is, of which version.", registry=REGISTRY)


def describe(role: str) -> None:
    """Say what this process is. Once, when it starts."""
    _build.info({"role": role, "version": version("mlflow-runtime"), "mlflow_version": version("mlflow")})


def exposition() -> bytes:
    """Every metric's present value."""
    return generate_latest(REGISTRY)
