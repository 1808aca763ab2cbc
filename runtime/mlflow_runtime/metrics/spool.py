"""How full the disk is on which artifacts are kept in transit."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mlflow_runtime.artifacts import spool
from mlflow_runtime.metrics import REGISTRY


class _Spool(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The spool as it is now; nothing of one that cannot be looked at."""
        found = GaugeMetricFamily(
            "mlflow_spool_bytes", "The disk that holds artifacts in transit, used and free.", labels=("state",)
        )
        try:
            now = spool.usage()
        except OSError:
            return (found,)
        found.add_metric(("used",), now.used)
        found.add_metric(("free",), now.free)
        return (found,)


REGISTRY.register(_Spool())
