"""How many database connections the services may open together. Pure.

Each replica of tracking and registry has one SQLAlchemy engine for each of MLflow's two stores. An engine keeps `pool`
connections open and opens as many more while they are all in use. What the hot path opens is taken from those of the
two engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from components.mlflow.limits import LIMITS
from components.mlflow.roles import WITH_DATABASES, Role
from components.mlflow.topology import Size

ENGINES = 2
PROBES = 2
"""Connections of `/ready`, which asks each database beside the engines."""

PREPARE = 4
"""The most that the prepare job opens at once, while the previous revision still serves."""

_POOL = LIMITS["database_pool"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the services ask of a server, all replicas up and at work. `pool` connections are kept by each engine.

    With `rolling` each replica has a successor beside it, as in a rolling update at full size. The one of the two that
    gets no requests still keeps its pools, ENGINES x `pool` connections, and answers `/ready`.
    """

    replicas: Mapping[Role, int]
    pool: int
    rolling: bool

    @property
    def count(self) -> int:
        """Replicas of all services, without successors."""
        return sum(self.replicas.values())

    @property
    def per_replica(self) -> int:
        """Connections of one replica at work."""
        return ENGINES * (self.pool + self.pool) + PROBES

    @property
    def per_successor(self) -> int:
        """Connections of the second replica of a pair, 0 if replicas are replaced in place."""
        return ENGINES * self.pool + PROBES if self.rolling else 0

    @property
    def total(self) -> int:
        """Connections of all replicas, their successors and prepare."""
        return self.count * (self.per_replica + self.per_successor) + PREPARE

    def largest_pool(self, available: int) -> int | None:
        """The largest pool with which `available` connections are enough, or None if even the smallest is too large."""
        revisions = 2 if self.rolling else 1
        spare = (available - PREPARE) // self.count - revisions * PROBES
        pool = min(spare // ((1 + revisions) * ENGINES), _POOL.most)
        return pool if pool in _POOL else None

    def most_replicas(self, role: Role, available: int) -> int:
        """The most replicas of a role, at least one, with which the smallest pool fits `available` connections."""
        smallest = replace(self, pool=_POOL.least)
        others = self.count - self.replicas[role]
        return max(1, (available - PREPARE) // (smallest.per_replica + smallest.per_successor) - others)

    def arithmetic(self) -> str:
        """The sum in words."""
        replicas = " + ".join(f"{role} {number}" for role, number in self.replicas.items())
        successors = (
            f" + {self.count} successors in a rolling update x ({ENGINES} engines x {self.pool} kept + {PROBES} for "
            "/ready)"
        )
        return (
            f"({replicas} replicas) x ({ENGINES} engines x ({self.pool} kept + {self.pool} more at work) + {PROBES} "
            f"for /ready){successors if self.rolling else ''} + {PREPARE} for prepare = {self.total} connections"
        )


def budget(sizes: Mapping[Role, Size], pool: int, *, rolling: bool) -> Budget:
    """The budget of services of these sizes at their most replicas.

    `rolling` says whether a revision starts whole beside the one that it replaces.
    """
    return Budget(replicas={role: sizes[role].scale.maximum for role in WITH_DATABASES}, pool=pool, rolling=rolling)
