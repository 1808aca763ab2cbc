"""What the platform's database has become by a run, and how long it takes to clean it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from delivery.bench.store import Postgres


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The database at the end of a run. `vacuum_seconds` is how long `VACUUM ANALYZE` of all of it took."""

    bytes: int
    metrics: int
    vacuum_seconds: float


def grown(store: Postgres) -> Grown:
    """Look at a database, and clean it."""
    size, ((metrics,),) = store.size(), store.read("SELECT count(*) FROM metrics")
    began = time.monotonic()
    store.write("VACUUM ANALYZE")
    return Grown(bytes=size, metrics=int(metrics), vacuum_seconds=time.monotonic() - began)
