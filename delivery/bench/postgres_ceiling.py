"""PostgreSQL's own ceiling: the statement that logs a metric, sent by pgbench on as many connections, without HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.emulators.postgres import binaries
from delivery.bench import data
from delivery.bench.setup import Setup
from delivery.bench.store import Postgres
from delivery.outcome import CommandError

RUNS: Final = 200
"""Runs that the metrics are spread over, as concurrent runs do."""

_SECONDS_AROUND: Final = 60.0
# The runtime is no part of the delivery: its statement is asked for, as the services run it.
_STATEMENT: Final = "from mlflow_runtime.hotpath.statements import LOG_METRICS; print(LOG_METRICS.sql)"
_RESULT: Final = re.compile(r"^latency average = ([\d.]+) ms$.*^tps = ([\d.]+) ", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class PostgresCeiling:
    """Transactions a second of pgbench, and their average time."""

    connections: int
    rate: float
    milliseconds: float


def ceiling(setup: Setup, store: Postgres, folder: Path, *, connections: int, seconds: int) -> PostgresCeiling:
    """Measure the server of a setup. Raises CommandError if pgbench fails."""
    experiment = int(setup.new_experiment(f"bench-ceiling-{connections}"))
    store.write(*data.statements(experiment, runs=RUNS, points=1))
    asked = subprocess.run([sys.executable, "-c", _STATEMENT], capture_output=True, text=True, check=True)
    file = folder / "log-metric.sql"
    file.write_text(script(asked.stdout, experiment))
    done = subprocess.run(
        [
            *(binaries() / "pgbench", "--no-vacuum", "--protocol=prepared", f"--file={file}"),
            *(f"--host={store.sockets}", f"--port={store.port}", "--username=postgres"),
            *(f"--client={connections}", "--jobs=1", f"--time={seconds}", store.database),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + _SECONDS_AROUND,
    )
    if done.returncode != 0:
        raise CommandError(f"bench: pgbench failed: {done.stderr.strip()[-1000:]}")
    return parsed(done.stdout, connections)


def script(statement: str, experiment: int) -> str:
    """The statement for pgbench: one metric at a step of its own, of a run by chance."""
    values = (
        "'default'",
        f"('{data.prefix(experiment)}' || ({data.FIRST} + :run))",
        "ARRAY['ceiling']::text[]",
        "ARRAY[0.5]::float8[]",
        "ARRAY[:step]::bigint[]",
        "ARRAY[:step]::bigint[]",
        "ARRAY[false]::boolean[]",
        "ARRAY[true]::boolean[]",
    )
    filled = re.sub(r"\$([0-9]+)", lambda found: values[int(found[1]) - 1], " ".join(statement.split()))
    return f"\\set run random(0, {RUNS - 1})\n\\set step random(1, 2000000000)\n{filled};\n"


def parsed(text: str, connections: int) -> PostgresCeiling:
    """Read pgbench's report. Raises CommandError for another text."""
    found = _RESULT.search(text)
    if found is None:
        raise CommandError(f"bench: pgbench reported no rate: {text.strip()[-1000:]}")
    return PostgresCeiling(connections=connections, rate=float(found[2]), milliseconds=float(found[1]))
