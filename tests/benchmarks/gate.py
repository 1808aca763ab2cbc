"""What access control costs a request: two tracking services on one data plane in turn, with the gate and without it.

`python -m tests.benchmarks.gate` prints for runs/get and runs/log-metric the median of one caller's requests, requests
a second of 16 callers, and for a request the CPU time of the service and the transactions of the database. The callers
are threads of this process on the same machine: compare the two services, and not the figures with others.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from components.emulators.azure.entra.directory import Directory
from tests.runtime.access.teams import application
from tests.support.entra import serving
from tests.support.plane import REPOSITORY
from tests.support.services import PUBLIC_HOST, Platform, Service, platform

CALLERS = 16
RUNS = "/api/2.0/mlflow/runs"
# The statistics of a connection that rests are written within this time.
SETTLED_SECONDS = 2


@dataclass
class Side:
    """A service, what its callers send, and what was measured of each call."""

    service: Service
    headers: Mapping[str, str]
    medians: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    transactions: dict[str, list[float]] = field(default_factory=dict)

    def times(self, request: tuple[str, str, str], count: int) -> list[float]:
        """Send a request `count` times over one connection; the milliseconds of each."""
        method, path, body = request
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port)
        found = []
        for _ in range(count):
            begun = time.perf_counter()
            connection.request(method, path, body or None, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            found.append((time.perf_counter() - begun) * 1000)
            if answer.status != http.client.OK:
                raise RuntimeError(f"{method} {path}: {answer.status} {content[:200]!r}")
        connection.close()
        return found

    def measure(self, call: str, request: tuple[str, str, str], count: int, transactions: Callable[[], int]) -> None:
        """Take one round of a call."""
        process = psutil.Process(self.service.program.process.pid)
        before, work = transactions(), process.cpu_times()
        self.medians.setdefault(call, []).append(statistics.median(self.times(request, count)))
        threads = [threading.Thread(target=self.times, args=(request, count)) for _ in range(CALLERS)]
        begun = time.perf_counter()
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        seconds = time.perf_counter() - begun
        done, requests = process.cpu_times(), count * (CALLERS + 1)
        self.rates.setdefault(call, []).append(count * CALLERS / seconds)
        self.cpu.setdefault(call, []).append((done.user + done.system - work.user - work.system) * 1000 / requests)
        self.transactions.setdefault(call, []).append((transactions() - before) / requests)


def sides(made: Platform, token: str, settings: Mapping[str, str]) -> dict[str, Side]:
    """Start the two services."""
    plain = {"Host": PUBLIC_HOST, "Content-Type": "application/json"}
    return {
        "off": Side(made.start("tracking"), plain),
        "on": Side(
            made.start("tracking", ready=True, **settings),
            {**plain, "Authorization": f"Bearer {token}", "X-MLFLOW-WORKSPACE": "default"},
        ),
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each service and call (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="of a caller in a round (default: %(default)s)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gate-"))
    install = [sys.executable, str(REPOSITORY / "tools" / "azurite" / "install.py")]
    azurite = Path(subprocess.run(install, capture_output=True, text=True, check=True).stdout.strip())
    writer = application("writer", "default.Contributor")
    directory = Directory(applications=(writer,))
    try:
        with platform(folder, azurite) as made, serving(made.plane.state, directory) as entra:
            settings = {
                "MLFLOW_RUNTIME_ACCESS_MODE": "entra",
                "MLFLOW_RUNTIME_ACCESS_AUTHORITY": entra.origin,
                "MLFLOW_RUNTIME_ACCESS_TENANT_ID": directory.tenant_id,
                "MLFLOW_RUNTIME_ACCESS_CLIENT_ID": directory.platform.client_id,
            }
            both = sides(made, entra.token(writer), settings)
            requests = calls(both["off"])
            for _ in range(arguments.rounds):
                for call, request in requests.items():
                    for side in both.values():
                        side.measure(call, request, arguments.requests, lambda: transactions(made))
            show(both, requests)
    finally:
        shutil.rmtree(folder)
    return 0


def calls(side: Side) -> dict[str, tuple[str, str, str]]:
    """Make a run; the requests for it by their names."""
    made = side.service.ask(f"{RUNS}/create", {"experiment_id": "0"})
    run = made.body["run"]["info"]["run_id"]
    metric = json.dumps({"run_id": run, "key": "m", "value": 1.0, "timestamp": 1})
    return {
        "get-run": ("GET", f"{RUNS}/get?run_id={run}", ""),
        "log-metric": ("POST", f"{RUNS}/log-metric", metric),
    }


def transactions(made: Platform) -> int:
    """Count the transactions of the tracking database so far, this question among them."""
    time.sleep(SETTLED_SECONDS)
    with made.plane.superuser("tracking") as cursor:
        cursor.execute("select xact_commit + xact_rollback from pg_stat_database where datname = 'tracking'")
        (found,) = cursor.fetchone() or (0,)
    return int(found)


def show(both: Mapping[str, Side], requests: Mapping[str, object]) -> None:
    """Print the medians of the rounds."""
    print("| call | gate | p50 ms | requests/s, 16 callers | CPU ms a request | transactions a request |")
    print("|---|---|---|---|---|---|")
    for call in requests:
        for name, side in both.items():
            of_rounds = (side.medians, side.rates, side.cpu, side.transactions)
            p50, rate, cpu, sql = (statistics.median(each[call]) for each in of_rounds)
            print(f"| {call} | {name} | {p50:.1f} | {rate:.0f} | {cpu:.2f} | {sql:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
