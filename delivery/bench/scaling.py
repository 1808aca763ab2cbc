"""How many concurrent runs the replicas carry, each replica held to a quarter of a processor.

On a machine with few processors replicas without a limit share all of them, so that more of them change little. On a
platform of containers each brings its own. A limit shows here what another replica brings there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from delivery.bench.measure import Prepared, Tool, measure
from delivery.bench.plan import Load
from delivery.bench.results import Measurement, latency
from delivery.bench.setup import Setup

CORES: Final = 0.25
"""Of a processor, for each replica: the smallest size of Container Apps."""

SLO_MILLISECONDS: Final = 500.0
REPLICAS: Final = (1, 2, 3, 4)

_LADDER: Final = (4, 8, 16, 32, 64, 128, 256, 512)
_HALVINGS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """What so many concurrent runs got. `p95` in milliseconds, of all calls.

    `busy` is how many processors replicas, gateway, database and load tool used together.
    """

    clients: int
    rate: float
    p95: float
    errors: int
    lost: int
    busy: float

    @property
    def within(self) -> bool:
        """Whether it is what a user may expect: no error, nothing lost, 95 of 100 calls within half a second."""
        return self.errors == 0 and self.lost == 0 and self.p95 <= SLO_MILLISECONDS


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The most concurrent runs that replicas carry, and every step of the search. `most` is None where not one is."""

    setup: str
    replicas: int
    hot_path: bool
    steps: Sequence[Step]

    @property
    def most(self) -> Step | None:
        """The step with the most concurrent runs of those within what a user may expect."""
        return max((step for step in self.steps if step.within), key=lambda step: step.clients, default=None)


def search(probe: Callable[[int], Step]) -> list[Step]:
    """Try more and more clients until a step is not within, then between that and the one before."""
    steps: list[Step] = []
    for clients in _LADDER:
        steps.append(probe(clients))
        if not steps[-1].within:
            break
    else:
        return steps
    low, high = (steps[-2].clients if len(steps) > 1 else 0), steps[-1].clients
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        if middle in (low, high):
            break
        steps.append(probe(middle))
        low, high = (middle, high) if steps[-1].within else (low, middle)
    return steps


def carried(tool: Tool, setup: Setup, prepared: Prepared, *, replicas: int, hot_path: bool, seconds: float) -> Carried:
    """Search for the most concurrent runs of a setup whose replicas are limited already."""

    def probe(clients: int) -> Step:
        load = Load(scenario="logging", clients=clients, setups=(setup.name,), seconds=seconds)
        return step(measure(tool, setup, prepared, load, 0, large_mib=0))

    return Carried(setup=setup.name, replicas=replicas, hot_path=hot_path, steps=search(probe))


def step(one: Measurement) -> Step:
    """What a measurement says of so many concurrent runs."""
    found = latency(value for values in one.milliseconds.values() for value in values)
    busy = one.cpu + one.database_cpu + one.tool_cpu
    return Step(clients=one.clients, rate=one.rate, p95=found.p95, errors=one.errors, lost=one.lost, busy=busy)


def scaling(found: Sequence[Carried], *, hot_path: bool) -> Mapping[int, float]:
    """By number of replicas: how many times the concurrent runs of one replica; without those that carry none."""
    most = {one.replicas: one.most.clients for one in found if one.hot_path is hot_path and one.most is not None}
    return {replicas: clients / most[1] for replicas, clients in most.items()} if 1 in most else {}
