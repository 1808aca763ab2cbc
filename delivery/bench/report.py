"""What a run found out, as files: JSON for programs, Markdown for the documents. Pure but for the writing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from delivery.bench import plots
from delivery.bench.aims import Aim, aims
from delivery.bench.grown import Grown
from delivery.bench.plan import LABELS, OURS, SCENARIOS, STOCK_POSTGRES, Load
from delivery.bench.results import Measurement, Summary, ratio, summaries
from delivery.bench.running import Outcome
from delivery.bench.scaling import CORES, SLO_MILLISECONDS, Carried, scaling
from delivery.markdown import table

TABLES: Final = "tables.md"
RESULTS: Final = "results.json"
LIMITED_PICTURE: Final = "limited-replicas.svg"

_NONE: Final = "-"
_PGBENCH: Final = (
    "The statement by which the hot path logs a single metric, sent by pgbench without HTTP. The aims compare it with "
    "requests of all kinds, some of which store more."
)
_LIMITED: Final = (
    f"Each replica is held to {CORES:g} of a processor by the kernel; the gateway and PostgreSQL are not. Concurrent "
    "runs log without a pause, each its next call when it has the answer. The most of them with no error, nothing "
    f"lost, and a p95 of at most {SLO_MILLISECONDS:.0f} ms. Where all processors of the "
    "machine are busy, it is the limit and not the replicas; what the bench has no part in, other programs use:"
)


def files(outcome: Outcome) -> dict[str, str]:
    """What a run found out: the content of each file, by its name."""
    return {TABLES: markdown(outcome), RESULTS: json.dumps(document(outcome), indent=1) + "\n", **pictures(outcome)}


def write(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files, by their names, into a folder, which is made if it is missing; return them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def document(outcome: Outcome) -> dict[str, Any]:
    """Everything but the single answers' times, of which it has the percentiles."""
    return {
        "facts": dict(outcome.facts),
        "seconds": round(outcome.seconds),
        "rounds": outcome.plan.rounds,
        "left_out": outcome.left_out,
        "runs": outcome.plan.runs,
        "points": outcome.plan.points,
        "large_mib": outcome.plan.large_mib,
        "carried": [rounded(asdict(one)) for one in outcome.carried],
        "aims": [asdict(one) for one in _aims(outcome)],
        "postgres": [rounded(asdict(one)) for one in outcome.postgres],
        "grown": rounded(asdict(outcome.grown)),
        "ceilings": [rounded(asdict(one)) for one in outcome.ceilings],
        "summaries": [rounded(asdict(one)) for one in summaries(outcome.measurements)],
        "measurements": [_measurement(one) for one in outcome.measurements],
    }


def pictures(outcome: Outcome) -> dict[str, str]:
    """The plots, by the name of their file."""
    found = summaries(outcome.measurements)
    made = {}
    for load in outcome.plan.loads:
        of_load = [one for one in found if (one.scenario, one.clients) == (load.scenario, load.clients)]
        if of_load:
            rates = {LABELS[one.setup]: one.rate for one in of_load}
            made[_picture(load)] = plots.bars(f"{load.heading}: requests/s", "/s", rates)
    if outcome.carried:
        series = {
            name: [
                (float(one.replicas), float(one.most.clients))
                for one in sorted(outcome.carried, key=lambda each: each.replicas)
                if one.hot_path is hot and one.most
            ]
            for name, hot in (("hot path", True), ("without", False))
        }
        title = f"Concurrent runs, each replica held to {CORES:g} of a processor"
        made[LIMITED_PICTURE] = plots.lines(title, "replicas", "concurrent runs", series)
    return made


def _picture(load: Load) -> str:
    return f"{load.scenario}-{load.clients}.svg"


def markdown(outcome: Outcome) -> str:
    """All tables, each with its heading."""
    found = summaries(outcome.measurements)
    parts = [
        "# Figures of one run",
        f"Written by `mlflow-platform bench`. The setups took turns in up to {outcome.plan.rounds} rounds; the run "
        f"took {outcome.seconds / 60:.0f} minutes. Setups are compared within a round: figures of two runs are not "
        "comparable. What the columns mean is in [performance.md](../performance.md).",
        table(("of the machine", ""), outcome.facts.items()),
        aims_table(outcome),
        f"Not measured: {'; '.join(outcome.left_out)}." if outcome.left_out else "",
    ]
    for load in outcome.plan.loads:
        of_load = [one for one in found if (one.scenario, one.clients) == (load.scenario, load.clients)]
        if not of_load:
            continue
        parts += [
            f"## {load.heading}",
            f"{SCENARIOS[load.scenario]}.",
            f"![{load.heading}]({_picture(load)})",
        ]
        parts += [setups_table(of_load, outcome.measurements), calls_table(of_load)]
    if outcome.carried:
        parts += [
            "## Limited replicas",
            _LIMITED,
            carried_table(outcome.carried),
            f"![Limited replicas]({LIMITED_PICTURE})",
        ]
    if outcome.postgres:
        parts += ["## PostgreSQL itself", _PGBENCH, _postgres(outcome), _grown(outcome.grown)]
    parts += ["## The load tool itself", "The logging scenario against a server that does nothing.", _ceilings(outcome)]
    return "\n\n".join(part for part in parts if part) + "\n"


def aims_table(outcome: Outcome) -> str:
    """One row for each aim that the run has figures for, below a heading; empty without any."""
    rows = [[one.aim, one.figure, "yes" if one.reached else "**no**"] for one in _aims(outcome)]
    return f"## Aims\n\n{table(('aim', 'this run', 'reached'), rows)}" if rows else ""


def _aims(outcome: Outcome) -> list[Aim]:
    return aims(outcome.measurements, outcome.carried, share(outcome), int(outcome.facts["cores"]))


def share(outcome: Outcome) -> float | None:
    """Requests a second through two replicas, by the single metrics a second that PostgreSQL itself logs."""
    most = max(outcome.postgres, key=lambda one: one.connections, default=None)
    rates = [
        one.rate
        for one in summaries(outcome.measurements)
        if (one.scenario, one.clients, one.setup) == ("logging", 16, OURS[2])
    ]
    return None if most is None or not rates else rates[0] / most.rate


def _postgres(outcome: Outcome) -> str:
    rows = ([str(one.connections), number(one.rate), number(one.milliseconds)] for one in outcome.postgres)
    return table(("connections", "statements/s", "average ms"), rows)


def _grown(found: Grown) -> str:
    return (
        f"After the run the platform's database had {found.bytes / 2**20:,.0f} MiB with {found.metrics:,} metrics. "
        f"`VACUUM ANALYZE` of all of it took {found.vacuum_seconds:.1f} s."
    )


def setups_table(of_load: Sequence[Summary], measurements: Sequence[Measurement]) -> str:
    """One row for each setup under a load."""
    columns = (
        *("setup", "requests/s", "slowest to fastest round", "times stock on PostgreSQL", "p50 ms", "p95", "p99"),
        *("errors", "acknowledged", "lost or altered", "memory MiB"),
        *("processors", "gateway's part", "database", "load tool", "machine"),
    )
    return table(columns, (_row(one, measurements) for one in of_load))


def calls_table(of_load: Sequence[Summary]) -> str:
    """p50 and p95 of each call, one column a setup; empty where the scenario has one call."""
    names = list(dict.fromkeys(name for one in of_load for name in one.calls))
    if len(names) < 2:
        return ""
    columns = ("p50, p95 ms of", *(LABELS[one.setup] for one in of_load))
    cells = ([name, *(_pair(one, name) for one in of_load)] for name in names)
    return table(columns, cells)


def carried_table(found: Sequence[Carried]) -> str:
    """One row for each number of replicas, with the hot path and without."""
    columns = ("replicas", "concurrent runs", "times one replica", "requests/s", "p95 ms", "next that was not within")
    parts = ("processors of the bench", "replicas", "gateway", "PostgreSQL", "load tool", "machine")
    rows = (
        [_kind(one), *_carried(found, one)] for one in sorted(found, key=lambda one: (not one.hot_path, one.replicas))
    )
    return table((*columns, *parts), rows)


def _kind(one: Carried) -> str:
    return f"{one.replicas}, hot path{'' if one.hot_path else ' off'}"


def _carried(found: Sequence[Carried], one: Carried) -> list[str]:
    beyond = min((step.clients for step in one.steps if not step.within), default=None)
    next_one = _NONE if beyond is None else str(beyond)
    if one.most is None:
        return ["none", _NONE, _NONE, _NONE, next_one, *[_NONE] * 6]
    times = scaling(found, hot_path=one.hot_path).get(one.replicas)
    most = one.most
    used = (most.busy, most.replicas_cpu, most.gateway_cpu, most.database_cpu, most.tool_cpu, most.machine_cpu)
    return [
        str(one.most.clients),
        _NONE if times is None else f"{times:.2f}",
        number(one.most.rate),
        number(one.most.p95),
        next_one,
        *(f"{value:.2f}" for value in used),
    ]


def _row(one: Summary, measurements: Sequence[Measurement]) -> list[str]:
    times = ratio(measurements, one.scenario, one.clients, one.setup, STOCK_POSTGRES)
    return [
        LABELS[one.setup],
        number(one.rate),
        f"{number(one.slowest_rate)} to {number(one.fastest_rate)}",
        _NONE if times is None else f"{times:.2f}",
        *(number(value) for value in (one.latency.p50, one.latency.p95, one.latency.p99)),
        f"{one.errors:,}",
        f"{one.acknowledged:,}",
        _wrong(one),
        number(one.memory_mib),
        *(f"{value:.2f}" for value in (one.cpu, one.gateway_cpu, one.database_cpu, one.tool_cpu, one.machine_cpu)),
    ]


def _wrong(one: Summary) -> str:
    return f"**{one.lost:,} or {one.altered:,}**" if one.lost or one.altered else "0"


def _pair(one: Summary, call: str) -> str:
    found = one.calls.get(call)
    return _NONE if found is None else f"{number(found.p50)}, {number(found.p95)}"


def _ceilings(outcome: Outcome) -> str:
    columns = ("clients", "requests/s", "p50 ms", "p95", "p99", "processors of the load tool")
    rows = (
        [
            str(one.clients),
            *(number(value) for value in (one.rate, one.latency.p50, one.latency.p95, one.latency.p99)),
            f"{one.tool_cpu:.2f}",
        ]
        for one in outcome.ceilings
    )
    return table(columns, rows)


def number(value: float) -> str:
    """A figure with about three digits that mean something."""
    if math.isnan(value):
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _measurement(one: Measurement) -> dict[str, Any]:
    values = rounded(asdict(one))
    del values["milliseconds"]
    return {**values, "rate": round(one.rate, 2)}


def rounded(value: Any) -> Any:
    """JSON has no NaN: of no answers there is no percentile."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 3)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value
