"""How many database connections the services may open together. Pure.

Each replica of tracking and registry has one SQLAlchemy engine for each of MLflow's two stores. An engine keeps `pool`
connections open and opens as many more while they are all in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    A roll-out is not in it: until it stops, a replica that no longer gets requests keeps its pools, ENGINES x `pool`
    connections, beside those of its successor.
    """

    replicas: Mapping[Role, int]
    pool: int

    @property
    def per_replica(self) -> int:
        """Connections of one replica."""
        return ENGINES * (self.pool + self.pool) + PROBES

    @property
    def total(self) -> int:
        """Connections of all replicas and of prepare."""
        return sum(self.replicas.values()) * self.per_replica + PREPARE

    @property
    def rolling(self) -> int:
        """Connections in the middle of a roll-out, when every replica has a successor beside it."""
        return self.total + sum(self.replicas.values()) * (ENGINES * self.pool + PROBES)

    def largest_pool(self, available: int) -> int | None:
        """The largest pool with which `available` connections are enough, or None if even the smallest is too large."""
        spare = (available - PREPARE) // sum(self.replicas.values()) - PROBES
        pool = min(spare // (2 * ENGINES), _POOL.most)
        return pool if pool in _POOL else None

    def most_replicas(self, role: Role, available: int) -> int:
        """The most replicas of a role, at least one, with which the smallest pool fits `available` connections."""
        smallest = Budget(replicas=self.replicas, pool=_POOL.least).per_replica
        others = sum(self.replicas.values()) - self.replicas[role]
        return max(1, (available - PREPARE) // smallest - others)

    def arithmetic(self) -> str:
        """The sum in words."""
        replicas = " + ".join(f"{role} {number}" for role, number in self.replicas.items())
        return (
            f"({replicas} replicas) x ({ENGINES} engines x ({self.pool} kept + {self.pool} more at work) + {PROBES} "
            f"for /ready) + {PREPARE} for prepare = {self.total} connections"
        )


def budget(sizes: Mapping[Role, Size], pool: int) -> Budget:
    """The budget of services of these sizes at their most replicas."""
    return Budget(replicas={role: sizes[role].scale.maximum for role in WITH_DATABASES}, pool=pool)
