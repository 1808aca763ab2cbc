"""A whole run: everything is started, loads take turns on the setups, and everything is removed."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.emulators.azurite import node
from components.mlflow.limits import Limits
from delivery.bench import data, machine, ours, postgres_ceiling, processes, quota, scaling, stock
from delivery.bench.ceiling import Ceiling, ceilings
from delivery.bench.clock import Clock, minutes
from delivery.bench.grown import Grown, grown
from delivery.bench.measure import NOTHING, Prepared, Tool, measure
from delivery.bench.ours import Platform
from delivery.bench.plan import (
    LABELS,
    OURS,
    OURS_ACCESS,
    OURS_COLD,
    OURS_DIRECT,
    READING,
    STOCK_POSTGRES,
    STOCK_SQLITE,
    Load,
    Plan,
    heading,
)
from delivery.bench.postgres_ceiling import PostgresCeiling
from delivery.bench.quota import QuotaError
from delivery.bench.results import Measurement
from delivery.bench.scaling import CORES, REPLICAS, Carried, Step
from delivery.bench.setup import Setup
from delivery.bench.signed_in import SignedIn, entra
from delivery.outcome import CommandError
from delivery.pulumi.installation import REPOSITORY
from tools import node_packages
from tools.steps import Report

CEILING_SECONDS: Final = 2.0
DEFAULT_CLIENTS: Final = 16
"""With how many clients the load tool is measured in a run without the logging scenario."""

# Between two measurements: what the last one left to do must not be the next one's.
PAUSE_SECONDS: Final = 0.5

END_SECONDS: Final = 20.0
"""PostgreSQL alone is measured, the database is cleaned, and everything ends and is removed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that a run found out.

    `postgres` is what PostgreSQL does by itself, `grown` what the platform's database became, `carried` what limited
    replicas carry. `left_out` names what there was no time for, and what this machine does not allow. `seconds` is how
    long it took in all.
    """

    plan: Plan
    facts: Mapping[str, str]
    ceilings: list[Ceiling]
    postgres: list[PostgresCeiling]
    grown: Grown
    measurements: list[Measurement]
    carried: list[Carried]
    left_out: list[str]
    seconds: float

    @property
    def parts(self) -> list[Measurement | Step]:
        """Everything that was read back: measurements, and steps of a search."""
        return [*self.measurements, *(step for one in self.carried for step in one.steps)]

    @property
    def lost(self) -> int:
        """How much was acknowledged and not stored, in any part of the run."""
        return sum(one.lost for one in self.parts)

    @property
    def altered(self) -> int:
        """How many of the compared values are other ones in the database."""
        return sum(one.altered for one in self.parts)

    @property
    def twice(self) -> int:
        """How much was stored beyond what the failed requests could have stored."""
        return sum(one.twice for one in self.parts)


def run(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Measure all of a plan. Whatever happens, no process and no file of it is left. Raises CommandError."""
    clock = Clock(limit=plan.limit_seconds)
    tool = load_tool(plan.timeout)
    facts = machine.facts(tool.package, REPOSITORY)
    with temporary_folder() as folder, processes.running(folder / "logs") as started:
        clients = sorted({load.clients for load in plan.loads if load.scenario == "logging"})
        say("The load tool against a server that does nothing")
        found = ceilings(tool, started, folder, clients or [DEFAULT_CLIENTS], CEILING_SECONDS)
        say("A local stack")
        with (
            ours.stack(folder, started, replicas=1, seconds=clock.limit - clock.passed) as up,
            entra(up.layout.data, started.free_ports()) as signed_in,
        ):
            ready = _setups(plan, up, folder, signed_in, say)
            prepared = _prepared(plan, ready, say)
            measured, left_out = _measured(tool, plan, ready, prepared, clock, say)
            itself, unasked = _postgres(plan, up, ready.get(OURS[2]), folder, clock, say)
            carried, unlimited = _carried(tool, plan, up, clock, say) if plan.scaling_seconds else ([], [])
            after = grown(up.postgres)
    return Outcome(
        plan=plan,
        facts=facts,
        ceilings=found,
        postgres=itself,
        grown=after,
        measurements=measured,
        carried=carried,
        left_out=[*left_out, *unasked, *unlimited],
        seconds=clock.passed,
    )


def load_tool(timeout: float) -> Tool:
    """The load tool, installed where it is missing. A request without an answer after `timeout` seconds has failed."""
    return Tool(package=node_packages.load(Report("bench")), node=node(), timeout=timeout)


def _measured(
    tool: Tool,
    plan: Plan,
    ready: Mapping[str, Setup],
    prepared: Mapping[str, Prepared],
    clock: Clock,
    say: Callable[[str], None],
) -> tuple[list[Measurement], list[str]]:
    """Every load in turns, and what was left out: what comes after them has its time."""
    measured, left_out = [], []
    ahead, after = plan.load_seconds - plan.scaling_seconds, plan.scaling_seconds + END_SECONDS
    for load, number in rounds(plan):
        left = min(ahead + after, clock.limit - clock.passed)
        say(f"{load.heading}, round {number + 1} of {load.rounds}: at most {minutes(left)} left")
        ahead -= load.round_seconds
        if not clock.allows(load.round_seconds + after):
            left_out.append(f"{load.heading}, round {number + 1}, as there was no time")
            say(f"  left out: {left_out[-1]}")
            continue
        for name in turn(load, number):
            try:
                one = measure(tool, ready[name], prepared[name], load, number, large_mib=plan.large_mib)
            except CommandError as error:
                # The others' figures are worth having all the same.
                left_out.append(f"{load.heading}, {name}, round {number + 1} ({error})")
                say(f"  failed: {left_out[-1]}")
                continue
            say(line(one))
            measured.append(one)
            time.sleep(PAUSE_SECONDS)
    return measured, left_out


def _postgres(
    plan: Plan, up: Platform, setup: Setup | None, folder: Path, clock: Clock, say: Callable[[str], None]
) -> tuple[list[PostgresCeiling], list[str]]:
    """What the database itself does, on one connection and on two replicas' of hot paths, or why it is left out."""
    if setup is None or not any(load.scenario == "logging" for load in plan.loads):
        return [], []
    if not clock.allows(plan.scaling_seconds + END_SECONDS):
        return [], ["PostgreSQL without services, as there was no time"]
    say("PostgreSQL without services before it")
    both, seconds = 2 * Limits().hot_path_connections, round(CEILING_SECONDS)
    try:
        return [
            postgres_ceiling.ceiling(setup, up.postgres, folder, connections=number, seconds=seconds)
            for number in (1, both)
        ], []
    except CommandError as error:
        return [], [f"PostgreSQL without services ({error})"]


def rounds(plan: Plan) -> Iterator[tuple[Load, int]]:
    """The first round of every load, then the second of every load: what comes late is left out first."""
    for number in range(plan.rounds):
        for load in plan.loads:
            if number < load.rounds:
                yield load, number


def _setups(
    plan: Plan, up: Platform, folder: Path, signed_in: SignedIn, say: Callable[[str], None]
) -> dict[str, Setup]:
    """Every setup that the plan needs, ready to be asked."""
    ready = {}
    for name in plan.setups:
        say(LABELS[name])
        ready[name] = _setup(name, up, folder, signed_in)
    return ready


def _carried(
    tool: Tool, plan: Plan, up: Platform, whole: Clock, say: Callable[[str], None]
) -> tuple[list[Carried], list[str]]:
    """What limited replicas carry, with the hot path and without, and what of it is left out and why."""
    say(f"Replicas held to {CORES:g} of a processor each: at most {minutes(plan.scaling_seconds)}")
    found: list[Carried] = []
    left_out: list[str] = []
    most = max(REPLICAS)
    try:
        kinds = {True: up.replicas(most), False: up.replicas_without_hot_path(most)}
        clock = Clock(limit=min(plan.scaling_seconds, whole.limit - whole.passed - END_SECONDS))
        pids = {str(replica.port): replica.pid for replicas in kinds.values() for replica in replicas}
        with quota.limited(pids, CORES):
            for count, hot_path in itertools.product(REPLICAS, kinds):
                name = f"limited-{count}{'' if hot_path else '-cold'}"
                if not clock.allows(scaling.STEP_SECONDS):
                    left_out.append(f"{name}, as there was no time")
                    continue
                setup = up.setup(name, kinds[hot_path][:count])
                one = scaling.carried(tool, setup, found, clock, replicas=count, hot_path=hot_path)
                say(f"  {name}: {'no run' if one.most is None else f'{one.most.clients} concurrent runs'}")
                found.append(one)
                if not one.settled:
                    left_out.append(f"{name} to the end, as there was no time")
    except QuotaError as error:
        left_out.append(f"limited replicas, as this machine limits no process ({error})")
    except CommandError as error:
        left_out.append(f"more limited replicas ({error})")
    return found, left_out


def _setup(name: str, up: Platform, folder: Path, signed_in: SignedIn) -> Setup:
    if name == STOCK_SQLITE:
        return stock.on_sqlite(up.processes, folder / name)
    if name == STOCK_POSTGRES:
        return stock.on_postgres(up.processes, folder / name, up.postgres, up.postgres_pid)
    if name == OURS_DIRECT:
        return up.direct(name, *up.replicas(1))
    if name == OURS_ACCESS:
        return up.setup(name, up.replicas_with_access(2, signed_in.access), signed_in.headers)
    if name == OURS_COLD:
        return up.setup(name, up.replicas_without_hot_path(2))
    count = next(count for count, each in OURS.items() if each == name)
    return up.setup(name, up.replicas(count))


def _prepared(plan: Plan, ready: Mapping[str, Setup], say: Callable[[str], None]) -> dict[str, Prepared]:
    wanted = {name for load in plan.loads if load.scenario in READING for name in load.setups}
    found: dict[str, Prepared] = {}
    for name in sorted(wanted):
        # What all forms of the platform read is in one database.
        same = next((other for other in found if ready[other].store == ready[name].store), None)
        if same is None:
            say(f"{LABELS[name]}: {plan.runs:,} runs to be read, and a history of {plan.points:,} points")
            found[name] = data.prepare(ready[name], runs=plan.runs, points=plan.points)
        else:
            found[name] = found[same]
    return {**dict.fromkeys(ready, NOTHING), **found}


def turn(load: Load, number: int) -> list[str]:
    """The setups of a load in the order of a round: each round begins with another one."""
    start = number % len(load.setups)
    return [*load.setups[start:], *load.setups[:start]]


def line(one: Measurement) -> str:
    """What a person sees of a measurement while it goes on."""
    what = f"{heading(one.scenario, one.clients)}, {one.setup}, round {one.round + 1}"
    wrong = "".join(f"; {count} {kind}" for kind, count in one.kinds.items())
    lost = f"; {one.lost} LOST" if one.lost else ""
    altered = f"; {one.altered} ALTERED" if one.altered else ""
    return f"  {what}: {one.rate:,.0f} requests/s{wrong}{lost}{altered}"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder, which is removed with all that was made in it, whoever owns it."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-platform-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
