"""What a long run under load showed while replicas were killed. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from delivery.bench.aims import Aim
from delivery.bench.load import Interval
from delivery.bench.plan import stores
from delivery.bench.results import percentile
from delivery.bench.store import ReadBack, twice

SHARE: Final = 0.6
"""Of the requests a second that the stack was measured to carry just before."""

_GROWTH: Final = 1.1
"""What the last third may have of the third before it: less is noise of a machine that is shared."""

_ACCEPTED: Final = 0.8
"""Of what was to be sent. A kill costs what was inside of a replica; what was sent late, on a busy machine, is left out
too. 0.92 were measured beside other work."""

RESTART_SECONDS: Final = 120.0
"""In which a replica that was killed must be ready again."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A look at the stack `at` so many seconds: MiB of memory by process, and connections of the services."""

    at: float
    memory: Mapping[str, float]
    connections: int

    @property
    def memory_mib(self) -> float:
        """MiB of all processes."""
        return sum(self.memory.values())


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A replica that was killed `at` so many seconds, and ready again after `seconds`; NaN if it was not, in time."""

    at: float
    replica: str
    seconds: float

    @property
    def served(self) -> bool:
        """Whether it was ready again in time."""
        return not math.isnan(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Soak:
    """A soak of `seconds`: `carried` requests/s were measured before, of which `asked` were sent.

    `spared` is the one of the `replicas` that is never killed: of the others no process lives long enough to show a
    leak. `kinds` are the failed requests by what they were, `failed` those with an answer by their call. `differences`
    names values that are not there as acknowledged, of `values` that were compared. `unwatched` says why samples or
    kills ended before the load. `intervals` are each of `interval` seconds, by their number.
    """

    facts: Mapping[str, str]
    seconds: float
    replicas: int
    spared: str
    carried: float
    asked: float
    accepted: int
    kinds: Mapping[str, int]
    failed: Mapping[str, int]
    back: ReadBack
    values: int
    differences: Sequence[str]
    kills: Sequence[Kill]
    samples: Sequence[Sample]
    unwatched: Sequence[str]
    interval: float
    intervals: Mapping[int, Interval]

    @property
    def errors(self) -> int:
        """Requests that failed."""
        return sum(self.kinds.values())

    @property
    def p95(self) -> float:
        """Milliseconds, of all accepted answers."""
        return percentile([value for each in self.intervals.values() for value in each.milliseconds], 95)

    @property
    def twice(self) -> int:
        """What was stored beyond what failed requests can explain."""
        return twice(self.back.beyond, self.failed, self.kinds.get("unanswered", 0), stores("logging", 0))

    @property
    def whole(self) -> bool:
        """Whether everything that was acknowledged is there as it was, once."""
        return self.back.lost == 0 and self.twice == 0 and not self.differences


def aims(soak: Soak) -> list[Aim]:
    """Return what a soak must show: nothing lost, the load carried, nothing that grows, replicas that serve again."""
    spared = [one.memory[soak.spared] for one in soak.samples if soak.spared in one.memory]
    memory = [one.memory_mib for one in soak.samples]
    connections = [float(one.connections) for one in soak.samples]
    return [
        Aim(
            aim="nothing that was acknowledged is lost, altered or stored twice",
            figure=f"{soak.back.acknowledged:,} counted, {soak.values:,} values compared: {soak.back.lost:,} lost, "
            f"{len(soak.differences):,} altered, {soak.twice:,} twice",
            reached=soak.whole,
        ),
        Aim(
            aim=f"at least {_ACCEPTED:.0%} of the requests that were to be sent are accepted",
            figure=f"{soak.accepted:,} of {soak.asked * soak.seconds:,.0f}",
            reached=soak.accepted >= _ACCEPTED * soak.asked * soak.seconds,
        ),
        _flat(f"memory of {soak.spared}, which is not killed, is flat", spared, "MiB"),
        _flat("memory of all services is flat", memory, "MiB"),
        _flat("connections to PostgreSQL are flat", connections, "connections"),
        Aim(
            aim="replicas are killed, and each serves again",
            figure=_served(soak.kills),
            reached=bool(soak.kills) and all(one.served for one in soak.kills),
        ),
        Aim(
            aim="samples and kills go on as long as the load",
            figure="; ".join(soak.unwatched) or "they did",
            reached=not soak.unwatched,
        ),
    ]


def _flat(aim: str, values: Sequence[float], unit: str) -> Aim:
    third = len(values) // 3
    if third == 0:
        return Aim(aim=aim, figure="too few samples", reached=False)
    middle, last = statistics.median(values[third:-third]), statistics.median(values[-third:])
    return Aim(
        aim=f"{aim}: the last third has at most {_GROWTH:g} times the middle one",
        figure=f"{last:,.0f} against {middle:,.0f} {unit}, at most {max(values):,.0f}",
        reached=last <= middle * _GROWTH,
    )


def _served(kills: Sequence[Kill]) -> str:
    ready = [one.seconds for one in kills if one.served]
    again = f"ready again after {min(ready):.1f} to {max(ready):.1f} s" if ready else "none ready again"
    late = f"; {len(kills) - len(ready)} not within {RESTART_SECONDS:.0f} s" if len(ready) < len(kills) else ""
    return f"{len(kills)} kills, {again}{late}"
