"""The tables in docs/capacity.md: what concurrent runs need, from the published run of the bench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from components.azure.postgres_size import RESERVED_CONNECTIONS, max_connections
from components.mlflow.roles import Role
from delivery import markdown
from delivery.cost import prices
from delivery.cost.capacity import RUN_REQUESTS, SIZES, Capacity, Measured, in_flight, most_requests, table
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
        _thresholds(measured),
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
    columns = ["database.sku", "connections", *(f"requests/s, {name}" for name in measured)]
    rows = [
        [
            f"Standard_{size}",
            f"{max_connections(f'Standard_{size}') - RESERVED_CONNECTIONS:,}",
            *(f"{most_requests(size, each):,.0f}" for each in measured.values()),
        ]
        for size in SIZES
    ]
    return f"What each size of the database carries of logging, by its processors:\n\n{markdown.table(columns, rows)}"


def _thresholds(measured: Mapping[str, Measured]) -> str:
    columns = ["cores of a tracking replica", *(f"requests at once, {name}" for name in measured)]
    rows = [[f"{cpu:g}", *(str(in_flight(each, cpu)) for each in measured.values())] for cpu in (0.25, 0.5, 1.0)]
    default = PROFILES[ProfileName.PROD].services[Role.TRACKING].concurrency
    return (
        f"How many requests at once a replica answers within half a second each. `tracking.concurrency`, by default "
        f"{default}, starts another replica beyond that many:\n\n{markdown.table(columns, rows)}"
    )
