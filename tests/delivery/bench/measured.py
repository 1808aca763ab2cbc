"""A measurement and the outcome of a run, for tests to change."""

from __future__ import annotations

from delivery.bench import plan
from delivery.bench.grown import Grown
from delivery.bench.plan import STOCK_POSTGRES, Load, Plan
from delivery.bench.results import Measurement
from delivery.bench.running import Outcome
from delivery.bench.scaling import Step

ONE = Measurement(
    scenario="logging",
    clients=16,
    setup=STOCK_POSTGRES,
    round=0,
    seconds=2,
    milliseconds={"create": [10.0], "log-metric": [1.0, 2.0, 3.0]},
    outside=1,
    errors=0,
    acknowledged=4,
    lost=0,
    unasked=0,
    twice=0,
    values=20,
    altered=0,
    runs=1,
    growth=8192,
    memory_mib=100,
    cpu=0.5,
    gateway_cpu=0.1,
    database_cpu=0.1,
    tool_cpu=0.2,
    machine_cpu=1.0,
)

STEP = Step(
    clients=8,
    rate=100,
    p95=400,
    errors=0,
    lost=0,
    altered=0,
    twice=0,
    replicas_cpu=0.8,
    gateway_cpu=0.3,
    database_cpu=0.3,
    tool_cpu=0.1,
    machine_cpu=1.6,
)


def outcome(*measurements: Measurement) -> Outcome:
    load = Load(scenario="logging", clients=16, setups=plan.PAIR, seconds=2, rounds=1)
    return Outcome(
        plan=Plan(loads=[load], runs=10, points=10, large_mib=1, limit_seconds=60),
        facts={"cores": "2"},
        ceilings=[],
        postgres=[],
        grown=Grown(bytes=2**20, metrics=100, vacuum_seconds=0.5),
        measurements=list(measurements),
        carried=[],
        left_out=[],
        seconds=100,
    )
