"""Reading the metrics of a local stack's processes, and remembering the last half hour of them."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from components.compute.local.processes import HOST
from components.compute.local.supervisor import Supervisor
from components.mlflow.observability.panels import GATEWAY_REQUESTS
from delivery.dashboard.evaluation import Reading
from delivery.local.configuration import LocalStack
from mlflow_runtime.metrics import snapshot
from mlflow_runtime.routes import METRICS_PATH, ServiceRole

KEPT: Mapping[str, tuple[str, ...]] = {**snapshot.KEPT, GATEWAY_REQUESTS: ("handler", "code")}
"""What replicas log of themselves, and the requests of the gateway, whose log has them one by one."""

_SERVICES = ("gateway", *ServiceRole)
# The second and later replicas of a service have one in their name.
_NUMBER = re.compile(r"-\d+$")

EVERY_SECONDS = 5
KEPT_SECONDS = 1800
_TIMEOUT = 4


@dataclass(frozen=True, kw_only=True)
class Target:
    """A process with metrics: its service, its own name, and the port at which it shows them."""

    service: str
    replica: str
    port: int


def targets(stack: LocalStack) -> list[Target]:
    """The stack's services and its gateway. None where it was never up, or is down."""
    if not Supervisor(stack.layout).alive():
        return []
    found = (_target(path) for path in sorted(stack.layout.processes.glob("*.json")))
    return [target for target in found if target is not None]


def _target(path: Path) -> Target | None:
    """None of the data plane's, and of one that an `up` is taking away just now."""
    service = _NUMBER.sub("", path.stem)
    if service not in _SERVICES:
        return None
    try:
        env = json.loads(path.read_text())["env"]
    except (OSError, ValueError):
        return None
    return Target(service=service, replica=path.stem, port=int(env.get("MLFLOW_RUNTIME_METRICS_PORT", env["PORT"])))


def parse(exposition: str) -> snapshot.Totals:
    """The kept series of a text in Prometheus' format. Raises ValueError for any other text."""
    return snapshot.totals(text_string_to_metric_families(exposition), KEPT)


class History:
    """The readings of the last half hour, of every process that answered."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque()
        self._before: dict[str, snapshot.Totals] = {}
        self._lock = threading.Lock()

    def add(self, at: float, found: Mapping[Target, snapshot.Totals]) -> None:
        """Take in what was scraped at a time. Of a process that is seen first, nothing is known of what it did before:
        its gauges count, its counters begin."""
        with self._lock:
            for target, totals in found.items():
                before = self._before.get(target.replica, totals)
                rows = snapshot.since(before, totals)
                self._readings.append(Reading(at=at, service=target.service, replica=target.replica, rows=rows))
                self._before[target.replica] = totals
            while self._readings and self._readings[0].at < at - KEPT_SECONDS:
                self._readings.popleft()

    def readings(self) -> Sequence[Reading]:
        """All that is remembered, in the order of time."""
        with self._lock:
            return list(self._readings)


def scrape(wanted: Iterable[Target]) -> dict[Target, snapshot.Totals]:
    """What each process shows now; those that do not answer are left out."""
    found = list(wanted)
    with ThreadPoolExecutor(max(len(found), 1)) as pool:
        return {
            target: reported
            for target, reported in zip(found, pool.map(_ask, found), strict=True)
            if reported is not None
        }


def _ask(target: Target) -> snapshot.Totals | None:
    connection = http.client.HTTPConnection(HOST, target.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", METRICS_PATH)
        answer = connection.getresponse()
        text = answer.read().decode()
        return parse(text) if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


class Scraper(threading.Thread):
    """Fills a history, at whole multiples of `EVERY_SECONDS` by the clock, until it is asked to end."""

    def __init__(self, stack: LocalStack, history: History) -> None:
        super().__init__(name="scraper", daemon=True)
        self._stack = stack
        self._history = history
        self._ended = threading.Event()

    def run(self) -> None:
        """Scrape again and again. Processes come and go with each `up`, so they are looked up each time."""
        while not self._ended.wait(snapshot.until_next(time.time(), EVERY_SECONDS)):
            self._history.add(time.time(), scrape(targets(self._stack)))

    def end(self) -> None:
        """Stop, at the latest after the scrape that is under way."""
        self._ended.set()
        self.join()
