"""How many concurrent runs the replicas carry, each replica held to a quarter of a processor.

On a machine with few processors replicas without a limit share all of them, so that more of them change little. On a
platform of containers each brings its own. A limit shows here what another replica brings there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from delivery.bench.clock import Clock
from delivery.bench.measure import NOTHING, Tool, measure
from delivery.bench.plan import Load
from delivery.bench.results import Measurement, latency
from delivery.bench.setup import Setup

CORES: Final = 0.25
"""Of a processor, for each replica: the smallest size of Container Apps."""

SLO_MILLISECONDS: Final = 500.0
REPLICAS: Final = (1, 4, 2, 3)
"""In the order in which they are measured: the first and the last decide."""

MEASURED_SECONDS: Final = 4.0
STEP_SECONDS: Final = 8.0
"""One step with what is around it."""

_FIRST: Final = {True: 64, False: 16}
"""With the hot path and without, where nothing is known yet."""

_MOST: Final = 1024
_UNKNOWN_STRIDE: Final = 2.0
_KNOWN_STRIDE: Final = 1.25
_PRECISION: Final = 10
_FULL: Final = 0.85
"""Of what there is, the part beyond which it counts as used up: the rest is gone to what nobody measures."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What so many concurrent runs got. `p95` in milliseconds, of all calls; processors in seconds of work a second.

    `machine_cpu` are those that anybody used, other programs than the bench too.
    """

    clients: int
    rate: float
    p95: float
    errors: int
    lost: int
    altered: int
    twice: int
    replicas_cpu: float
    gateway_cpu: float
    database_cpu: float
    tool_cpu: float
    machine_cpu: float

    @property
    def within(self) -> bool:
        """Whether it is what a user may expect: no error, all is stored, 95 of 100 calls within half a second."""
        wrong = self.errors or self.lost or self.altered or self.twice
        return not wrong and self.p95 <= SLO_MILLISECONDS

    @property
    def busy(self) -> float:
        """The processors that all of them used together."""
        return self.replicas_cpu + self.gateway_cpu + self.database_cpu + self.tool_cpu


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

    @property
    def settled(self) -> bool:
        """Whether the search ended by itself: a step with hardly more runs was not within."""
        low = self.most.clients if self.most else 0
        high = min((step.clients for step in self.steps if not step.within), default=math.inf)
        return low == _MOST or _near(low, high)


def search(
    probe: Callable[[int], Step], more: Callable[[], bool], first: int, stride: float = _UNKNOWN_STRIDE
) -> list[Step]:
    """Try `first` clients, go up or down by `stride` to a step of the other kind, then halve what is between them.

    It ends at a tenth, and when there is no time for `more`.
    """
    steps: list[Step] = []
    low, high, clients = 0, _MOST + 1, min(first, _MOST)
    while True:
        steps.append(probe(clients))
        low, high = (clients, high) if steps[-1].within else (low, clients)
        if _near(low, high) or low == _MOST or not more():
            return steps
        if high > _MOST:
            clients = min(_MOST, max(low + 1, round(low * stride)))
        elif low == 0:
            clients = min(high - 1, max(1, round(high / stride)))
        else:
            clients = (low + high) // 2


def carried(
    tool: Tool, setup: Setup, before: Sequence[Carried], clock: Clock, *, replicas: int, hot_path: bool
) -> Carried:
    """Search for the most concurrent runs of a setup whose replicas are limited already.

    It begins at what the searches of `before` let expect.
    """

    def probe(clients: int) -> Step:
        load = Load(scenario="logging", clients=clients, setups=(setup.name,), seconds=MEASURED_SECONDS)
        return step(measure(tool, setup, NOTHING, load, 0, large_mib=0))

    expected = _expected(before, replicas=replicas, hot_path=hot_path)
    first, stride = (_FIRST[hot_path], _UNKNOWN_STRIDE) if expected is None else (expected, _KNOWN_STRIDE)
    steps = search(probe, lambda: clock.allows(STEP_SECONDS), first, stride)
    return Carried(setup=setup.name, replicas=replicas, hot_path=hot_path, steps=steps)


def step(one: Measurement) -> Step:
    """What a measurement says of so many concurrent runs."""
    found = latency(value for values in one.milliseconds.values() for value in values)
    return Step(
        clients=one.clients,
        rate=one.rate,
        p95=found.p95,
        errors=one.errors,
        lost=one.lost,
        altered=one.altered,
        twice=one.twice,
        replicas_cpu=one.cpu - one.gateway_cpu,
        gateway_cpu=one.gateway_cpu,
        database_cpu=one.database_cpu,
        tool_cpu=one.tool_cpu,
        machine_cpu=one.machine_cpu,
    )


def limit(one: Carried, processors: int) -> str:
    """Say what was used up at the most concurrent runs: the machine, the replicas' share, or neither."""
    if one.most is None:
        return "no concurrent run was within"
    allowed = one.replicas * CORES
    parts = (
        f"{one.most.machine_cpu:.2f} of {processors} processors busy, of which replicas {one.most.replicas_cpu:.2f} of "
        f"{allowed:.2f} that they may use, gateway {one.most.gateway_cpu:.2f}, PostgreSQL "
        f"{one.most.database_cpu:.2f}, load tool {one.most.tool_cpu:.2f}, others "
        f"{max(0.0, one.most.machine_cpu - one.most.busy):.2f}"
    )
    if one.most.replicas_cpu >= _FULL * allowed:
        return f"{parts}: the replicas are the limit"
    if one.most.machine_cpu >= _FULL * processors:
        return f"{parts}: the machine is the limit"
    return f"{parts}: neither is used up on average"


def _expected(before: Sequence[Carried], *, replicas: int, hot_path: bool) -> int | None:
    """On the line through what the nearest numbers of replicas carry."""
    most = [(one.replicas, one.most.clients) for one in before if one.hot_path is hot_path and one.most]
    nearest = min(most, key=lambda each: abs(each[0] - replicas), default=None)
    return None if nearest is None else max(1, round(nearest[1] * replicas / nearest[0]))


def _near(low: int, high: float) -> bool:
    return high - low <= max(1, low // _PRECISION)


def scaling(found: Sequence[Carried], *, hot_path: bool) -> Mapping[int, float]:
    """By number of replicas: how many times the concurrent runs of one replica; without those that carry none."""
    most = {one.replicas: one.most.clients for one in found if one.hot_path is hot_path and one.most is not None}
    return {replicas: clients / most[1] for replicas, clients in most.items()} if 1 in most else {}
