"""What a bench measures: which scenarios, at how many clients, on which setups, for how long. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

STOCK_SQLITE: Final = "stock-sqlite"
STOCK_POSTGRES: Final = "stock-postgres"
OURS_DIRECT: Final = "ours-direct"
OURS_COLD: Final = "ours-2-cold"
OURS_ACCESS: Final = "ours-2-access"
OURS: Final = {count: f"ours-{count}" for count in (1, 2, 4)}

LABELS: Final = {
    STOCK_SQLITE: "stock, its defaults (SQLite)",
    STOCK_POSTGRES: "stock, PostgreSQL, 4 workers",
    OURS[1]: "ours, 1 replica",
    OURS[2]: "ours, 2 replicas",
    OURS[4]: "ours, 4 replicas",
    OURS_COLD: "ours, 2 replicas, hot path off",
    OURS_ACCESS: "ours, 2 replicas, access on",
    OURS_DIRECT: "ours, 1 replica, no gateway",
}
"""What each setup is, by its name."""

PAIR: Final = (STOCK_POSTGRES, OURS[2])
GATE: Final = (OURS[2], OURS_ACCESS)
PUBLISHED: Final = tuple(name for name in LABELS if name != OURS_DIRECT)
"""Every setup that a user may have; without a gateway is for its share alone."""

ROUNDS: Final = 3
"""Of what an aim or the capacity model takes its figures from: the median of three is no outlier."""

WARM_SECONDS: Final = 1.0
AROUND_SECONDS: Final = 1.5
"""What a measurement takes beside its load: the load tool starts, and what was stored is read back."""

CREATED_PER_SECOND: Final = 64
"""Runs that the slowest setup creates in a second: as long does it take until each client has one."""


def heading(scenario: str, clients: int) -> str:
    """What a reader calls a scenario with a number of clients."""
    return f"{scenario}, {clients} client{'s' if clients > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Load:
    """One scenario with a number of clients, on these setups, `rounds` times.

    It is measured for `seconds`, after some that do not count, or until each client has gone through it `turns`
    times, at most for `seconds`.
    """

    scenario: str
    clients: int
    setups: Sequence[str]
    seconds: float
    turns: int = 0
    rounds: int = ROUNDS

    @property
    def warm(self) -> float:
        """Seconds of the same load before those that count; none where each client ends by itself."""
        return 0 if self.turns else WARM_SECONDS + self.clients / CREATED_PER_SECOND

    @property
    def heading(self) -> str:
        """What a reader calls it; unique in a plan."""
        return heading(self.scenario, self.clients)

    @property
    def round_seconds(self) -> float:
        """Seconds of one round at most."""
        return len(self.setups) * (self.warm + self.seconds + AROUND_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole run: each load on each of its setups, which take turns.

    `runs` are in the database that is read, `points` in the metric history, `large_mib` is the large artifact.
    `limit_seconds` is for all of it, from the first start to the last removal: what would end later is left out.
    `scaling_seconds` is how much of that the search for the most concurrent runs of limited replicas gets, 0 for no
    search.
    """

    loads: Sequence[Load]
    runs: int
    points: int
    large_mib: int
    limit_seconds: float
    scaling_seconds: float = 0
    timeout: float = 30.0

    @property
    def rounds(self) -> int:
        """The most rounds of any load."""
        return max((load.rounds for load in self.loads), default=0)

    @property
    def setups(self) -> list[str]:
        """The names of the setups that any load needs, in the order of LABELS."""
        wanted = {setup for load in self.loads for setup in load.setups}
        return [name for name in LABELS if name in wanted]

    @property
    def load_seconds(self) -> float:
        """Seconds of load at most, with what is read between and without what is started before."""
        return sum(load.rounds * load.round_seconds for load in self.loads) + self.scaling_seconds


SCENARIOS: Final = {
    "logging": "A run is create, 20 log-metric, 5 log-parameter, log-batch of 50, update",
    "bursty": "Every client starts a run in the same second: create, 5 log-metric, 5 log-parameter, update",
    "batch": "Create, 10 log-batch of 1,000 metrics, update",
    "reads": "What the UI asks for: searches of runs and experiments, a run, histories of a metric",
    "registry": "A model version by its alias, as a server of models does",
    "artifacts": "Upload and download of 1 MB",
    "large": "Upload and download of one large file",
    "traces": "OTLP exports of one trace of 50 spans",
    "access": "Create, 10 times log-metric and the run itself, update: with access control and without",
}
"""What each scenario is, by its name."""

_BATCH: Final = {"logging": 50, "batch": 1000}
"""Metrics of one batch of a scenario."""


def stores(scenario: str, file_bytes: int) -> Mapping[str, tuple[str, int]]:
    """What one request of each call of a scenario stores, in what is counted: its kind, and how many or bytes."""
    return {
        "create": ("run", 1),
        "log-metric": ("metrics", 1),
        "log-parameter": ("params", 1),
        "log-batch": ("metrics", _BATCH.get(scenario, 1)),
        "update": ("finished", 1),
        "export-trace": ("trace", 1),
        "upload": ("artifact", file_bytes),
    }


READING: Final = ("reads", "registry")
"""The scenarios that read what was there before."""

SCALING: Final = "scaling"
"""What the search for the most concurrent runs of limited replicas is called beside the scenarios."""

SCALING_SECONDS: Final = 330
"""Eight searches of about six steps, each of some seven seconds."""


def quick() -> Plan:
    """Enough to see that all works and how it compares, in less than four minutes."""
    return Plan(
        runs=5_000,
        points=5_000,
        large_mib=32,
        limit_seconds=235,
        loads=[
            Load(scenario="logging", clients=16, setups=(*PAIR, OURS[1], OURS_COLD), seconds=3, rounds=2),
            Load(scenario="logging", clients=1, setups=PAIR, seconds=2, rounds=2),
            Load(scenario="bursty", clients=50, setups=PAIR, seconds=5, turns=1, rounds=1),
            *(
                Load(scenario=name, clients=4, setups=PAIR, seconds=2, rounds=1)
                for name in ("batch", "registry", "artifacts", "traces")
            ),
            Load(scenario="reads", clients=4, setups=PAIR, seconds=4, turns=2, rounds=1),
            Load(scenario="large", clients=1, setups=PAIR, seconds=4, turns=1, rounds=1),
        ],
    )


def whole() -> Plan:
    """The published run, in less than 22 minutes: what the aims and the capacity model need, the rest in one round."""
    return Plan(
        runs=100_000,
        points=100_000,
        large_mib=256,
        limit_seconds=22 * 60,
        scaling_seconds=SCALING_SECONDS,
        loads=[
            Load(scenario="logging", clients=16, setups=PUBLISHED, seconds=5),
            Load(scenario="logging", clients=1, setups=(STOCK_POSTGRES, OURS[2], OURS[1], OURS_DIRECT), seconds=4),
            Load(scenario="reads", clients=8, setups=PAIR, seconds=20, turns=3),
            *(Load(scenario="access", clients=clients, setups=GATE, seconds=4) for clients in (16, 1)),
            Load(scenario="logging", clients=64, setups=PAIR, seconds=5, rounds=2),
            Load(scenario="logging", clients=256, setups=PAIR, seconds=5, rounds=2),
            Load(scenario="bursty", clients=200, setups=PAIR, seconds=30, turns=1, rounds=1),
            *(
                Load(scenario=name, clients=8, setups=PAIR, seconds=5, rounds=1)
                for name in ("batch", "registry", "traces", "artifacts")
            ),
            Load(scenario="large", clients=1, setups=PAIR, seconds=20, turns=1, rounds=1),
        ],
    )


def only(plan: Plan, scenarios: Sequence[str]) -> Plan:
    """The loads of some scenarios, and the search if it is named. Raises ValueError for an unknown name."""
    known = [*SCENARIOS, SCALING]
    unknown = sorted(set(scenarios) - set(known))
    if unknown:
        raise ValueError(f"--scenario: got {', '.join(unknown)}; expected some of {', '.join(known)}")
    kept = [load for load in plan.loads if load.scenario in scenarios]
    searched = (plan.scaling_seconds or SCALING_SECONDS) if SCALING in scenarios else 0
    return replace(plan, loads=kept, scaling_seconds=searched)
