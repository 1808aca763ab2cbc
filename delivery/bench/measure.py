"""One measurement: load on a setup, what its processes used meanwhile, and what of it was stored."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from delivery.bench import load, processes, store, values
from delivery.bench.load import Job, Noted
from delivery.bench.plan import Load, stores
from delivery.bench.processes import Use
from delivery.bench.results import Measurement
from delivery.bench.setup import Setup

MEGABYTE: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The load tool: its package's folder, and the Node.js that runs it."""

    package: Path
    node: Path
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a setup has to be read from: an experiment of many runs, a run of many points, a model with an alias."""

    dataset: str
    history: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Used:
    """What a setup used since it began: its services, and of a processor its gateway and its database alone.

    `machine` are the seconds of a processor that anybody used since the machine began, until `at`.
    """

    services: Use
    gateway: float
    database: float
    machine: float
    at: float

    @classmethod
    def of(cls, setup: Setup) -> Used:
        """Look at a setup's processes now."""
        alone = [0.0 if pid is None else processes.use([pid]).cpu_seconds for pid in (setup.gateway, setup.database)]
        services = processes.use(setup.processes)
        machine = processes.machine_seconds()
        return cls(services=services, gateway=alone[0], database=alone[1], machine=machine, at=time.monotonic())


NOTHING: Final = Prepared(dataset="", history="", model="")
"""For a setup that is only written to."""


def measure(tool: Tool, setup: Setup, prepared: Prepared, planned: Load, number: int, *, large_mib: int) -> Measurement:
    """Send the load once. What it writes goes into an experiment and a folder of its own, and is read back."""
    name = f"bench-{secrets.token_hex(6)}"
    experiment = setup.new_experiment(name)
    job = Job(
        url=setup.url,
        # The same calls, once with a large file.
        scenario="artifacts" if planned.scenario == "large" else planned.scenario,
        clients=planned.clients,
        seconds=planned.seconds,
        timeout=max(tool.timeout, planned.seconds) if planned.turns else tool.timeout,
        turns=planned.turns,
        warm=planned.warm,
        headers=setup.headers,
        values={
            "experiment": experiment,
            "dataset": prepared.dataset,
            "history": prepared.history,
            "model": prepared.model,
            "folder": name,
            "bytes": large_mib * MEGABYTE if planned.scenario == "large" else MEGABYTE,
            **({"trace": load.trace_template()} if planned.scenario == "traces" else {}),
        },
    )
    before, size = Used.of(setup), setup.store.size()
    noted = load.run(tool.package, tool.node, job)
    after, growth = Used.of(setup), setup.store.size() - size
    there = store.stored(setup.store, experiment)
    if noted.acknowledged.artifacts:
        there = replace(there, artifacts=listed(setup, name))
    back = store.compare(noted.acknowledged, there)
    sample = noted.acknowledged.values
    number_of_values, altered = values.compared(sample, values.remembered(setup.store, list(sample)))
    at_work = planned.warm + noted.seconds
    return Measurement(
        scenario=planned.scenario,
        clients=planned.clients,
        setup=setup.name,
        round=number,
        seconds=noted.seconds,
        milliseconds={call: found.milliseconds for call, found in noted.calls.items()},
        outside=sum(call.outside for call in noted.calls.values()),
        errors=noted.errors,
        kinds=kinds(noted),
        acknowledged=back.acknowledged,
        lost=back.lost,
        unasked=back.unasked,
        twice=store.twice(back.beyond, noted.failed, noted.unanswered, stores(planned.scenario, job.values["bytes"])),
        values=number_of_values,
        altered=len(altered),
        runs=len(noted.acknowledged.runs),
        growth=growth,
        memory_mib=after.services.memory_mib,
        cpu=(after.services.cpu_seconds - before.services.cpu_seconds) / at_work,
        gateway_cpu=(after.gateway - before.gateway) / at_work,
        database_cpu=(after.database - before.database) / at_work,
        tool_cpu=noted.cpu_seconds / at_work,
        machine_cpu=(after.machine - before.machine) / (after.at - before.at),
    )


def kinds(noted: Noted) -> Mapping[str, int]:
    """The errors by what they were."""
    found = Counter({"unanswered": noted.unanswered, "wrong": sum(call.wrong for call in noted.calls.values())})
    for call in noted.calls.values():
        found.update(call.failed)
    return {kind: count for kind, count in found.items() if count}


def listed(setup: Setup, folder: str) -> Mapping[str, int]:
    """The artifacts of a folder with their sizes, as the server lists them."""
    answer: Any = setup.call(f"/api/2.0/mlflow-artifacts/artifacts?path={folder}")
    return {file["path"].rpartition("/")[2]: int(file["file_size"]) for file in answer.get("files", [])}
