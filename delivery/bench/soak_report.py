"""What a soak showed, as files beside those of a whole run. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, Final

from delivery.bench import plots, soak
from delivery.bench.report import number, rounded
from delivery.bench.results import percentile
from delivery.bench.soak import Soak
from delivery.markdown import table

TABLES: Final = "soak.md"
RESULTS: Final = "soak.json"
MEMORY: Final = "soak-memory.svg"
REQUESTS: Final = "soak-requests.svg"

_SHOWN: Final = 5


def files(found: Soak) -> dict[str, str]:
    """What a soak showed: the content of each file, by its name."""
    return {TABLES: markdown(found), RESULTS: json.dumps(document(found), indent=1) + "\n", **pictures(found)}


def document(found: Soak) -> dict[str, Any]:
    """Everything but the single answers' times, of which it has the percentiles."""
    values = asdict(replace(found, intervals={}))
    intervals = [
        {"at": at, "rate": rate, "failed": found.intervals[index].failed, "p95": p95}
        for index, (at, rate, p95) in enumerate(_intervals(found))
        if index in found.intervals
    ]
    aims = [asdict(one) for one in soak.aims(found)]
    return dict(rounded({**values, "intervals": intervals, "p95": found.p95, "aims": aims}))


def pictures(found: Soak) -> dict[str, str]:
    """The plots, by the name of their file."""
    names = list(dict.fromkeys(name for one in found.samples for name in one.memory))
    memory = {name: [(one.at / 60, one.memory[name]) for one in found.samples if name in one.memory] for name in names}
    intervals = _intervals(found)
    requests = {
        "requests/s": [(at / 60, rate) for at, rate, _ in intervals],
        "p95, ms": [(at / 60, p95) for at, _, p95 in intervals if p95 == p95],
        "connections": [(one.at / 60, float(one.connections)) for one in found.samples],
        "a replica killed": [(one.at / 60, 0.0) for one in found.kills],
    }
    return {
        MEMORY: plots.lines("Memory while replicas are killed", "minutes", "MiB", memory),
        REQUESTS: plots.lines("Logging while replicas are killed", "minutes", "", requests),
    }


def markdown(found: Soak) -> str:
    """The tables and the plots."""
    rows = [[one.aim, one.figure, "yes" if one.reached else "**no**"] for one in soak.aims(found)]
    parts = [
        "# A soak",
        f"Written by `mlflow-platform bench --soak`: {found.seconds / 60:g} minutes of the scenario `logging` through "
        f"the gateway at {soak.SHARE:.0%} of what {found.replicas} replicas were measured to carry just before, while "
        f"all of them but {found.spared} are killed in turn. What it means is in "
        "[performance.md](../performance.md#soak).",
        table(("of the machine", ""), found.facts.items()),
        table(("aim", "this run", "reached"), rows),
        table(*_row(found)),
        f"![Memory]({MEMORY})",
        f"![Requests]({REQUESTS})",
        *(f"- {line}" for line in found.differences[:_SHOWN]),
    ]
    return "\n\n".join(parts) + "\n"


def _row(found: Soak) -> tuple[list[str], list[list[str]]]:
    kinds = ", ".join(f"{count:,} ({kind})" for kind, count in found.kinds.items())
    columns = ["carried requests/s", "asked for", "accepted", "p95 ms", "failed", "kills", "acknowledged", "lost"]
    return [*columns, "altered"], [
        [
            number(found.carried),
            number(found.asked),
            f"{found.accepted:,}",
            number(found.p95),
            kinds or "0",
            str(len(found.kills)),
            f"{found.back.acknowledged:,}",
            f"{found.back.lost:,}",
            f"{len(found.differences):,}",
        ]
    ]


def _intervals(found: Soak) -> list[tuple[float, float, float]]:
    """Of each interval its end in seconds, its requests/s and its p95; 0 and NaN where there was no answer."""
    made = []
    # The last one is not whole.
    for index in range(max(found.intervals, default=0)):
        times = found.intervals[index].milliseconds if index in found.intervals else ()
        made.append(((index + 1) * found.interval, len(times) / found.interval, percentile(times, 95)))
    return made
