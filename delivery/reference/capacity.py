"""The tables in docs/capacity.md: what concurrent runs need, from the published run of the bench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from components.azure.postgres_size import RESERVED_CONNECTIONS, max_connections, memory_gib
from delivery import markdown
from delivery.cost import prices
from delivery.cost.capacity import (
    RUN_REQUESTS,
    RUN_ROWS,
    SIZES,
    Capacity,
    Measured,
    carried,
    most_requests,
    runs_in_memory,
    table,
    thresholds,
)
from delivery.offline_azure.running import REPOSITORY
from infra.settings.profiles import PROFILES, Profile, ProfileName

DOCUMENT: Final = REPOSITORY / "docs" / "capacity.md"
RESULTS: Final = REPOSITORY / "docs" / "performance" / "results.json"
RUNS: Final = (10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000)
_BEGIN, _END = "<!-- capacity: written by `mlflow-platform reference` -->\n", "<!-- end of capacity -->\n"
_SETUPS: Final = {"hot path": "ours-2", "hot path off": "ours-2-cold"}


def render() -> str:
    """Return the document with the tables of the published run."""
    return inserted(DOCUMENT.read_text(), json.loads(RESULTS.read_text()))


def inserted(text: str, results: Mapping[str, Any]) -> str:
    """Return the document with these results between its marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    measured = {name: Measured.read(results, setup) for name, setup in _SETUPS.items()}
    profile = PROFILES[ProfileName.PROD]
    parts = [
        _source(results["facts"]),
        _requests(measured),
        *(_needs(name, each, profile) for name, each in measured.items()),
        _databases(measured),
        _growth(measured["hot path"], results["grown"]),
        _thresholds(results),
        prices.NOTICE,
    ]
    written = "\n\n".join(parts)
    return f"{before}{_BEGIN}\n{written}\n\n{_END}{after}"


def _source(facts: Mapping[str, str]) -> str:
    return (
        f"Measured on {facts['cores']} cores of {facts['processor']}, MLflow {facts['mlflow']}, commit "
        f"{facts['commit']}, load average before {facts['load average before']} "
        "([all figures](performance/tables.md))."
    )


def _requests(measured: Mapping[str, Measured]) -> str:
    rows = [
        [
            name,
            *(f"{value:.2f}" for value in (each.tracking_ms, each.gateway_ms, each.database_ms)),
            f"{each.bytes:,.0f}",
            f"{each.bytes * RUN_REQUESTS / 1024:,.0f}",
        ]
        for name, each in measured.items()
    ]
    columns = [
        "one request of logging",
        "tracking, ms of a processor",
        "gateway",
        "database",
        "bytes of its disk",
        "KiB for a whole run",
    ]
    return markdown.table(columns, rows)


def _needs(name: str, measured: Measured, profile: Profile) -> str:
    found = table(measured, RUNS, profile.sizes, profile.database_pool)
    columns = ["concurrent runs", "tracking replicas", "gateway replicas", "database.sku", "connections", "USD a month"]
    columns.append("database grows, GiB an hour")
    return f"With the {name}:\n\n{markdown.table(columns, [_row(one) for one in found])}"


def _row(one: Capacity) -> list[str]:
    return [
        f"{one.work.runs:,}",
        str(one.tracking),
        str(one.gateway),
        one.sku,
        f"{one.connections:,} of {one.connections_available:,}",
        f"{one.usd:,.0f}",
        f"{one.gib_per_hour:.2f}",
    ]


def _databases(measured: Mapping[str, Measured]) -> str:
    columns = ["database.sku", "connections", *(f"requests/s, {name}" for name in measured), "memory, GiB"]
    hot = next(iter(measured.values()))
    columns += ["runs until they are more than it"]
    rows = [
        [
            f"Standard_{size}",
            f"{max_connections(f'Standard_{size}') - RESERVED_CONNECTIONS:,}",
            *(f"{most_requests(size, each):,.0f}" for each in measured.values()),
            str(memory_gib(f"Standard_{size}")),
            f"{round(runs_in_memory(size, hot), -3):,.0f}",
        ]
        for size in SIZES
    ]
    return f"What each size of the database carries of logging, by its processors:\n\n{markdown.table(columns, rows)}"


def _growth(measured: Measured, grown: Mapping[str, Any]) -> str:
    million = grown["vacuum_seconds"] * 1e6 / max(1, grown["metrics"])
    burstable = most_requests("B2s", measured)
    rows = [
        ["rows of one run of logging", str(RUN_ROWS)],
        ["bytes of one run, with indexes, before a vacuum", f"{measured.bytes * RUN_REQUESTS:,.0f}"],
        ["database after the run of the bench", f"{grown['bytes'] / 2**20:,.0f} MiB, {grown['metrics']:,} metrics"],
        ["`VACUUM ANALYZE` of all of it", f"{grown['vacuum_seconds']:.1f} s; {million:.1f} s for a million metrics"],
        [
            "Standard_B2s is too small",
            f"beyond {burstable:,.0f} requests/s on average, or when searches read more than its memory: "
            f"{round(runs_in_memory('B2s', measured), -3):,.0f} runs",
        ],
    ]
    return f"How the database grows:\n\n{markdown.table(['growth', ''], rows)}"


def _thresholds(results: Mapping[str, Any]) -> str:
    rows = [
        [
            name.value,
            role.value,
            f"{size.cpu:g}",
            f"{milliseconds:.2f}",
            f"{carried(milliseconds, size.cpu):,.0f}",
            str(size.concurrency),
            f"{size.min_replicas} to {size.max_replicas}",
        ]
        for name, profile in PROFILES.items()
        if profile.azure is not None
        for role, milliseconds in thresholds(results).items()
        for size in (profile.services[role],)
    ]
    columns = ["profile", "service", "cores", "ms of a processor a request", "requests/s that a replica carries"]
    return "When another replica starts, and what a replica carries:\n\n" + markdown.table(
        [*columns, "`concurrency`", "replicas"], rows
    )
