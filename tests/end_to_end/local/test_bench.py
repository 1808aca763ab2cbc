"""Every scenario of the bench against a stack: all is accepted, and what was acknowledged is in the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.emulators.azurite import node
from delivery.bench import data, postgres_ceiling, processes
from delivery.bench.measure import Prepared, Tool, measure
from delivery.bench.ours import Platform
from delivery.bench.plan import Load
from delivery.bench.setup import Setup
from tests.support.local_stack import RunningStack
from tools import node_packages
from tools.steps import Report

# Requests that one client sends in one turn, and what a server acknowledges of them: a run with its metrics, parameters
# and end; a trace; a megabyte. Reads store nothing.
SCENARIOS = {
    "logging": (28, 1 + 70 + 5 + 1),
    "bursty": (12, 1 + 5 + 5 + 1),
    "access": (22, 1 + 10 + 1),
    "batch": (12, 1 + 10_000 + 1),
    "traces": (1, 1),
    "artifacts": (2, 2**20),
    "reads": (7, 0),
    "registry": (1, 0),
}


@pytest.fixture
def platform(stack: RunningStack, tmp_path: Path) -> Iterator[Platform]:
    with processes.running(tmp_path / "logs") as started:
        yield Platform(stack.local.layout, stack.local.port, started)


@pytest.fixture
def setup(platform: Platform) -> Setup:
    return platform.setup("bench", platform.own(2))


@pytest.fixture
def prepared(setup: Setup) -> Iterator[Prepared]:
    yield data.prepare(setup, runs=10, points=1000)
    setup.call("/api/2.0/mlflow/registered-models/delete", {"name": data.MODEL}, method="DELETE")


def test_a_stack_stores_what_it_acknowledges_in_every_scenario(
    platform: Platform, setup: Setup, prepared: Prepared, tmp_path: Path
) -> None:
    tool = Tool(package=node_packages.load(Report("bench")), node=node(), timeout=60)
    for scenario, (requests, acknowledged) in SCENARIOS.items():
        load = Load(scenario=scenario, clients=2, setups=(setup.name,), seconds=60, turns=1)
        one = measure(tool, setup, prepared, load, 0, large_mib=1)
        found = (sum(map(len, one.milliseconds.values())), one.kinds, one.acknowledged, one.lost, one.unasked)
        assert (scenario, *found) == (scenario, 2 * requests, {}, 2 * acknowledged, 0, 0)
        assert one.memory_mib > 300
    # The hot path's own statement, on the runs that the ceiling makes.
    itself = postgres_ceiling.ceiling(setup, platform.postgres, tmp_path, connections=2, seconds=1)
    assert itself.rate > 0
    assert len(platform.postgres.read("SELECT DISTINCT run_uuid FROM latest_metrics WHERE key = 'ceiling'")) > 1
