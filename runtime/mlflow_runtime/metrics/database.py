"""The connection pools: how many connections are in use, and what had to wait for one."""

from __future__ import annotations

import time
import weakref
from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar, Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import URL, QueuePool
from sqlalchemy.pool import PoolProxiedConnection

from mlflow_runtime.metrics import REGISTRY

# Seconds. An idle connection comes at once, a new one with a token from the cache takes milliseconds.
_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30)

_pools: weakref.WeakSet[MeasuredPool] = weakref.WeakSet()
_seconds = Histogram(
    "mlflow_database_connection_wait_seconds",
    "From the request for a connection to one that works.",
    ("database",),
    buckets=_BUCKETS,
    registry=REGISTRY,
)
_waited = Counter(
    "mlflow_database_connections_waited",
    "Connection requests that had to wait.",
    ("database",),
    registry=REGISTRY,
)


class MeasuredPool(QueuePool):
    """A pool that is seen in the metrics, under the name of its database."""

    database: ClassVar[str] = ""

    @property
    def most(self) -> int:
        """The most connections that it opens."""
        return self.size() + self._max_overflow

    def connect(self) -> PoolProxiedConnection:
        """A connection, counted."""
        _pools.add(self)
        if self.checkedout() >= self.most:
            _waited.labels(self.database).inc()
        begun = time.monotonic()
        try:
            return super().connect()
        finally:
            _seconds.labels(self.database).observe(time.monotonic() - begun)

    def dispose(self) -> None:
        """Close what is idle. The engine makes a new pool for what comes after."""
        _pools.discard(self)
        super().dispose()


def pool_class(url: URL) -> type[MeasuredPool]:
    """The class of the pools of a URL. SQLAlchemy tells a pool nothing of its database."""
    return type("MeasuredPool", (MeasuredPool,), {"database": url.database or ""})


class _Pools(Collector):
    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The pools as they are now."""
        now: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for pool in list(_pools):
            found = now[pool.database]
            found[0] += pool.checkedout()
            found[1] += pool.checkedin()
            found[2] += pool.most
        connections = GaugeMetricFamily(
            "mlflow_database_connections", "Connections that are open, in use or idle.", labels=("database", "state")
        )
        limit = GaugeMetricFamily(
            "mlflow_database_connections_limit", "Connections that may be open.", labels=("database",)
        )
        for database, (in_use, idle, most) in sorted(now.items()):
            connections.add_metric((database, "in_use"), in_use)
            connections.add_metric((database, "idle"), idle)
            limit.add_metric((database,), most)
        return connections, limit


REGISTRY.register(_Pools())
