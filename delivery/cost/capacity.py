"""What a number of concurrent runs needs: replicas, a database, its connections, and what they cost. Pure.

It is arithmetic on what one request was measured to take (`mlflow-platform bench`), so it is as good as two
assumptions: a core of Azure does what a core of the measured machine does, and work grows with requests. Leave room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from components.azure.postgres_size import RESERVED_CONNECTIONS, max_connections, memory_gib
from components.mlflow.connections import budget
from components.mlflow.roles import SERVICES, Role
from components.mlflow.topology import Size
from delivery.cost import prices
from delivery.cost.data import compute
from delivery.cost.prices import HOURS_PER_MONTH, SECONDS_PER_HOUR

UTILISATION: Final = 0.6
"""How busy processors may be: beyond that, requests that come together wait for each other (queueing)."""

SIZES: Final = ("B1ms", "B2s", *(f"D{cores}ds_v5" for cores in (2, 4, 8, 16, 32, 48, 64)))
"""The database's compute sizes that have a price here, the cheapest first."""

# Of one processor, what a burstable size may use for as long as it likes (Microsoft Learn, "B-series burstable virtual
# machine sizes", base CPU performance).
_BASELINE: Final = {"B1ms": 0.2, "B2s": 0.4}

LOAD: Final = ("logging", 16)
"""The scenario and the clients of the run from which requests are taken."""

RUN_REQUESTS: Final = 28
"""Requests of one run of that scenario, with 70 metrics and 5 parameters."""

RUN_ROWS: Final = 88
"""Rows of such a run: itself, its metrics, 11 latest metrics, its parameters and the tag that has its name."""

USUAL: Final = {
    **dict.fromkeys(("logging", "bursty", "batch", "reads", "traces", "access"), Role.TRACKING),
    "registry": Role.REGISTRY,
    "artifacts": Role.ARTIFACTS,
}
"""The service that answers each scenario. `large` is left out: its work is its bytes, of which a rate tells nothing."""

_SETUPS: Final = ("ours-2", "ours-2-cold", "ours-2-access")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one request of logging took: milliseconds of a processor, and bytes of the database's disk."""

    tracking_ms: float
    gateway_ms: float
    database_ms: float
    bytes: float

    @classmethod
    def read(cls, document: Mapping[str, Any], setup: str) -> Measured:
        """Read the results of a bench. Raises ValueError if they lack the logging scenario of the setup."""
        scenario, clients = LOAD
        for one in document["summaries"]:
            if (one["scenario"], one["clients"], one["setup"]) == (scenario, clients, setup) and one["rate"]:
                each = 1000 / one["rate"]
                # Accepted before the time or after its end too. Results without that figure count too few.
                accepted = sum(call["count"] for call in one["calls"].values()) + one.get("outside", 0)
                return cls(
                    tracking_ms=(one["cpu"] - one["gateway_cpu"]) * each,
                    gateway_ms=one["gateway_cpu"] * each,
                    database_ms=one["database_cpu"] * each,
                    bytes=one["growth"] / max(1, accepted),
                )
        raise ValueError(
            f"results: got no {scenario} of {setup} with {clients} clients; expected the results of a whole bench. "
            "Run: mlflow-platform bench --output docs/performance"
        )


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be carried: runs at once, and how often each of them logs, in requests a second."""

    runs: int
    requests_per_second: float = 1.0

    def __post_init__(self) -> None:
        if self.runs < 1 or not self.requests_per_second > 0:
            raise ValueError(
                f"Work: got {self.runs} runs with {self.requests_per_second:g} requests/s each; expected at least one "
                "run, and more than 0 requests/s."
            )

    @property
    def requests(self) -> float:
        """Requests a second of all runs."""
        return self.runs * self.requests_per_second


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What carries the work. `usd` is a month of it at work all the time, without storage, logs and network."""

    work: Work
    tracking: int
    gateway: int
    sku: str
    connections: int
    connections_available: int
    usd: float
    gib_per_hour: float
    """What the database grows by in an hour of this work."""


def capacity(work: Work, measured: Measured, sizes: Mapping[Role, Size], pool: int) -> Capacity:
    """Return the fewest replicas of the given sizes, and the smallest database, that carry the work.

    `sizes` are those of a profile, whose fewest replicas are kept; `pool` is its `limits.databasePool`. Raises
    ValueError if no size of the database is large enough.
    """
    tracking = _replicas(work.requests, measured.tracking_ms, sizes[Role.TRACKING])
    gateway = _replicas(work.requests, measured.gateway_ms, sizes[Role.GATEWAY])
    found = {
        **sizes,
        Role.TRACKING: _scaled(sizes[Role.TRACKING], tracking),
        Role.GATEWAY: _scaled(sizes[Role.GATEWAY], gateway),
    }
    connections = budget(found, pool, rolling=True).total
    sku = database(work.requests * measured.database_ms, connections)
    return Capacity(
        work=work,
        tracking=tracking,
        gateway=gateway,
        sku=sku,
        connections=connections,
        connections_available=max_connections(sku) - RESERVED_CONNECTIONS,
        usd=month(found, sku),
        gib_per_hour=work.requests * measured.bytes * SECONDS_PER_HOUR / 2**30,
    )


def database(milliseconds: float, connections: int) -> str:
    """Return the cheapest size for so much work a second and so many connections. Raises ValueError without one."""
    for size in SIZES:
        sku = f"Standard_{size}"
        enough = max_connections(sku) - RESERVED_CONNECTIONS >= connections
        if enough and milliseconds / 1000 <= cores(size) * UTILISATION:
            return sku
    raise ValueError(
        f"database: got {milliseconds / 1000:.1f} processors of work and {connections:,} connections; expected at most "
        f"what Standard_{SIZES[-1]} carries. Divide the work between stacks."
    )


def cores(size: str) -> float:
    """Return what a size of the database may use for as long as it likes, in processors."""
    return _BASELINE.get(size) or float("".join(filter(str.isdigit, size.partition("ds")[0])))


def most_requests(size: str, measured: Measured) -> float:
    """Return how many requests a second a size of the database carries for as long as it likes."""
    return cores(size) * UTILISATION * 1000 / measured.database_ms


def runs_in_memory(size: str, measured: Measured) -> float:
    """Return how many runs a size of the database stores until they are more than its memory."""
    return memory_gib(f"Standard_{size}") * 2**30 / (measured.bytes * RUN_REQUESTS)


def month(sizes: Mapping[Role, Size], sku: str) -> float:
    """Return what the services at their most replicas and a database without a standby cost, in USD."""
    replicas = [(sizes[role], sizes[role].scale.maximum) for role in SERVICES]
    seconds = HOURS_PER_MONTH * SECONDS_PER_HOUR
    processors = sum(size.cpu * count for size, count in replicas) * seconds * prices.ACTIVE_VCPU.usd
    memory = sum(size.memory_mib / 1024 * count for size, count in replicas) * seconds * prices.APP_MEMORY.usd
    price, units = compute(sku)
    return processors + memory + price.usd * units * HOURS_PER_MONTH


def carried(milliseconds: float, cpu: float) -> float:
    """Return how many requests a second a replica carries whose requests take so many milliseconds of a processor.

    A replica has one worker, which uses no more than one processor.
    """
    return min(1.0, cpu) * UTILISATION * 1000 / milliseconds


def thresholds(document: Mapping[str, Any]) -> dict[Role, float]:
    """Return what the dearest usual request takes of each service, in milliseconds of a processor.

    A threshold is a rate, which no replica exceeds once its processor is busy. So it must be below what a replica
    answers of the dearest, or a load of those alone never starts another replica.
    """
    found: dict[Role, float] = {}
    for one in document["summaries"]:
        if one["setup"] not in _SETUPS or one["scenario"] not in USUAL or not one["rate"]:
            continue
        services, gateway = one["cpu"] - one["gateway_cpu"], one["gateway_cpu"]
        for role, used in ((USUAL[one["scenario"]], services), (Role.GATEWAY, gateway)):
            found[role] = max(found.get(role, 0.0), used * 1000 / one["rate"])
    return {role: found[role] for role in SERVICES if role in found}


def table(measured: Measured, runs: Sequence[int], sizes: Mapping[Role, Size], pool: int) -> list[Capacity]:
    """Return what each number of runs needs, up to the last that any size carries."""
    found = []
    for number in runs:
        try:
            found.append(capacity(Work(runs=number), measured, sizes, pool))
        except ValueError:
            break
    return found


def _replicas(requests: float, milliseconds: float, size: Size) -> int:
    return max(1, size.scale.minimum, math.ceil(requests / carried(milliseconds, size.cpu)))


def _scaled(size: Size, replicas: int) -> Size:
    return replace(size, scale=replace(size.scale, minimum=replicas, maximum=replicas))
