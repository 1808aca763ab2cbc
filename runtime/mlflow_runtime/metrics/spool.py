"""The disk on which artifacts are kept in transit: Python's folder for temporary files, as TMPDIR says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mlflow_runtime.metrics import REGISTRY


class _Spool(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The disk as it is now; nothing of one that cannot be looked at."""
        found = GaugeMetricFamily(
            "mlflow_spool_bytes", "The disk that holds artifacts in transit, used and free.", labels=("state",)
        )
        try:
            disk = shutil.disk_usage(tempfile.gettempdir())
        except OSError:
            return (found,)
        found.add_metric(("used",), disk.used)
        found.add_metric(("free",), disk.free)
        return (found,)


REGISTRY.register(_Spool())
