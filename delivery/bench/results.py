"""What was measured, and what follows from it: percentiles, throughput, ratios. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of a setup under a load beside its answers' times.

    `outside` counts accepted answers before the time and after its end, by which the database grew as well. `lost` is
    what was acknowledged and not stored, `unasked` is stored and was not acknowledged, `twice` is what of that no
    failed request explains. `altered` are acknowledged values that are other ones in the database, of `values` that
    were compared. Memory in MiB, of the setup's processes without the database; processors are seconds of work a
    second. `tool_cpu` is the load tool's own, `gateway_cpu` a part of `cpu`, `machine_cpu` are those that anybody used,
    other programs too. The database grew by `growth` bytes, with `runs` runs.
    """

    scenario: str
    clients: int
    setup: str
    outside: int
    errors: int
    acknowledged: int
    lost: int
    unasked: int
    twice: int
    values: int
    altered: int
    runs: int
    growth: int
    memory_mib: float
    cpu: float
    gateway_cpu: float
    database_cpu: float
    tool_cpu: float
    machine_cpu: float


@dataclass(frozen=True, kw_only=True)
class Measurement(Figures):
    """One round. `milliseconds` has the accepted answers of each call within the time, which were `seconds`."""

    round: int
    seconds: float
    milliseconds: Mapping[str, Sequence[float]]
    kinds: Mapping[str, int] = field(default_factory=dict)
    """Errors by what they were: a status, `unanswered`, `wrong`."""

    @property
    def rate(self) -> float:
        """Accepted requests a second."""
        return sum(map(len, self.milliseconds.values())) / self.seconds


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Percentiles in milliseconds, and how many answers they are of."""

    p50: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Summary(Figures):
    """All rounds together: rates and processors are medians of the rounds, percentiles are of all answers."""

    rounds: int
    rate: float
    slowest_rate: float
    fastest_rate: float
    latency: Latency
    calls: Mapping[str, Latency]


def percentile(values: Sequence[float], hundredth: float) -> float:
    """The smallest value that at least `hundredth` percent of the values do not exceed (nearest rank); NaN of none."""
    if not values:
        return math.nan
    rank = max(1, math.ceil(len(values) * hundredth / 100))
    return sorted(values)[rank - 1]


def latency(values: Iterable[float]) -> Latency:
    """The percentiles of answers."""
    found = sorted(values)
    p50, p95, p99 = (percentile(found, hundredth) for hundredth in (50, 95, 99))
    return Latency(p50=p50, p95=p95, p99=p99, count=len(found))


def summaries(measurements: Sequence[Measurement]) -> list[Summary]:
    """One summary of each setup under each load, in the order in which they were first measured."""
    grouped: dict[tuple[str, int, str], list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault((one.scenario, one.clients, one.setup), []).append(one)
    return [_summary(rounds) for rounds in grouped.values()]


def _summary(rounds: Sequence[Measurement]) -> Summary:
    first = rounds[0]
    rates = [one.rate for one in rounds]
    names = list(dict.fromkeys(name for one in rounds for name in one.milliseconds))
    calls = {name: [value for one in rounds for value in one.milliseconds.get(name, ())] for name in names}
    return Summary(
        scenario=first.scenario,
        clients=first.clients,
        setup=first.setup,
        rounds=len(rounds),
        rate=statistics.median(rates),
        slowest_rate=min(rates),
        fastest_rate=max(rates),
        latency=latency(value for values in calls.values() for value in values),
        calls={name: latency(values) for name, values in calls.items()},
        outside=sum(one.outside for one in rounds),
        errors=sum(one.errors for one in rounds),
        acknowledged=sum(one.acknowledged for one in rounds),
        lost=sum(one.lost for one in rounds),
        unasked=sum(one.unasked for one in rounds),
        twice=sum(one.twice for one in rounds),
        values=sum(one.values for one in rounds),
        altered=sum(one.altered for one in rounds),
        runs=sum(one.runs for one in rounds),
        growth=sum(one.growth for one in rounds),
        memory_mib=max(one.memory_mib for one in rounds),
        cpu=statistics.median(one.cpu for one in rounds),
        gateway_cpu=statistics.median(one.gateway_cpu for one in rounds),
        database_cpu=statistics.median(one.database_cpu for one in rounds),
        tool_cpu=statistics.median(one.tool_cpu for one in rounds),
        machine_cpu=statistics.median(one.machine_cpu for one in rounds),
    )


def ratio(measurements: Sequence[Measurement], scenario: str, clients: int, setup: str, to: str) -> float | None:
    """How many times the requests a second of `to` a setup has: the median of the rounds' own ratios, or None.

    Only measurements of one round are compared, as what else the machine did meanwhile was the same for both.
    """
    rates: dict[str, dict[int, float]] = {setup: {}, to: {}}
    for one in measurements:
        if (one.scenario, one.clients) == (scenario, clients) and one.setup in rates:
            rates[one.setup][one.round] = one.rate
    ratios = [rates[setup][number] / other for number, other in rates[to].items() if other and number in rates[setup]]
    return statistics.median(ratios) if ratios else None
