"""What supervisord does not do by itself: `python -m components.compute.local.keeper ROOT`, kept by supervisord.

- supervisord is killed: start another one, and every process again.
- a process answers its liveness probe no more: kill it, supervisord starts it again.
- supervisord gave up on a process: try again, for ever.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from components.compute.local.layout import Layout
from components.compute.local.processes import answers
from components.compute.local.supervisor import KEEPER, Supervisor, SupervisorError, priority

PERIOD_SECONDS = 1
RETRY_SECONDS = 5

_logger = logging.getLogger("keeper")


class Probe(TypedDict):
    """As `ProcessGroup.document` writes it. Times in seconds."""

    port: int
    path: str
    period: int
    timeout: int
    failures: int
    start_seconds: int


@dataclass
class Liveness:
    """Decides from its liveness probe that one process hangs; created for each start of it.

    Until the first good answer the process has the probe's `start_seconds`, after that `failures` bad ones in a row.
    """

    started: float
    answered: bool = False
    failures: int = 0
    next_probe: float = 0.0

    def hangs(self, probe: Probe, now: float) -> bool:
        """Probe if it is due. True once the process has had its chances."""
        if now < self.next_probe:
            return False
        self.next_probe = now + probe["period"]
        if answers(probe["port"], probe["path"], probe["timeout"]):
            self.answered, self.failures = True, 0
            return False
        self.failures += 1
        return self.failures >= probe["failures"] if self.answered else now - self.started > probe["start_seconds"]


def main(root: Path) -> None:
    """Run until supervisord ends this process, or supervisord itself is gone and another one is running."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    layout = Layout(root)
    supervisor = Supervisor(layout)
    parent = os.getppid()
    liveness: dict[tuple[str, int], Liveness] = {}
    retry_at = 0.0
    while True:
        time.sleep(PERIOD_SECONDS)
        if os.getppid() != parent:
            _logger.warning("supervisord (pid %s) is gone: starting another", parent)
            _resurrect(layout, supervisor)
            return
        try:
            _kill_hanging(layout, supervisor, liveness)
            if time.monotonic() >= retry_at:
                retry_at = time.monotonic() + RETRY_SECONDS
                for name in (name for name, state in supervisor.states().items() if state == "FATAL"):
                    _logger.warning("%s: trying again after supervisord gave up", name)
                    supervisor.start_process(name)
        except SupervisorError as error:
            _logger.warning("%s", error)


def _resurrect(layout: Layout, supervisor: Supervisor) -> None:
    """Start supervisord and what ran under the last one, in the order of its priorities."""
    supervisor.start()
    for path in sorted(layout.programs.glob("*.ini"), key=priority):
        if path.stem != KEEPER:
            supervisor.start_process(path.stem)


def _kill_hanging(layout: Layout, supervisor: Supervisor, liveness: dict[tuple[str, int], Liveness]) -> None:
    pids = supervisor.pids()
    for gone in liveness.keys() - pids.items():
        del liveness[gone]
    for name, probe in _probes(layout):
        if name not in pids:
            continue
        now = time.monotonic()
        if liveness.setdefault((name, pids[name]), Liveness(started=now)).hangs(probe, now):
            _logger.warning("%s does not answer %s: killing it", name, probe["path"])
            supervisor.kill_process(name)


def _probes(layout: Layout) -> Iterator[tuple[str, Probe]]:
    for path in layout.processes.glob("*.json"):
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if document.get("live"):
            yield path.stem, document["live"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
