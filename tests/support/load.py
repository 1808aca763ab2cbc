"""A light load that remembers what was acknowledged and what failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import urllib3

from tests.support.local_stack import RunningStack, eventually


@dataclass
class Load:
    """One client that logs a metric and reads its run, again and again, with no retry of its own.

    `acknowledged` are the steps whose write was answered with 200; `failed_reads` and `failed_writes` are the rest.
    """

    stack: RunningStack
    run_id: str
    acknowledged: list[int] = field(default_factory=list)
    failed_writes: list[str] = field(default_factory=list)
    failed_reads: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, pause: float) -> None:
        step = 0
        while not self._stop.is_set():
            step += 1
            metric = {"run_id": self.run_id, "key": "load", "value": float(step), "timestamp": step, "step": step}
            if self._attempt(self.failed_writes, "runs/log-metric", metric):
                self.acknowledged.append(step)
            self._attempt(self.failed_reads, f"runs/get?run_id={self.run_id}", None)
            time.sleep(pause)

    def await_rounds(self, more: int) -> None:
        """Return once so many more writes were acknowledged, each with the read after it."""
        wanted = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) > wanted, what=f"{more} more writes, but {self.failed_writes[-3:]}")

    def stop(self) -> None:
        self._stop.set()

    def lost(self) -> set[int]:
        """Acknowledged steps that cannot be read back."""
        found: set[int] = set()
        page = ""
        while True:
            answer = self.stack.call(
                f"metrics/get-history?run_id={self.run_id}&metric_key=load&max_results=5000&page_token={page}"
            )
            found |= {int(metric["step"]) for metric in answer.get("metrics", [])}
            page = answer.get("next_page_token", "")
            if not page:
                return set(self.acknowledged) - found

    def _attempt(self, failures: list[str], path: str, body: object | None) -> bool:
        try:
            self.stack.call(path, body)
        except (OSError, urllib3.exceptions.HTTPError, AssertionError) as error:
            failures.append(f"{path}: {error!r}"[:300])
            return False
        return True


@contextmanager
def light_load(stack: RunningStack, experiment_id: str, pause: float = 0.05) -> Iterator[Load]:
    """Run the load beside the block, and around it until writes and reads were answered before and after it."""
    run = stack.call("runs/create", {"experiment_id": experiment_id, "start_time": int(time.time() * 1000)})
    load = Load(stack, run["run"]["info"]["run_id"])
    thread = threading.Thread(target=load.run, args=(pause,), daemon=True)
    thread.start()
    try:
        load.await_rounds(5)
        yield load
        load.await_rounds(20)
    finally:
        load.stop()
        thread.join(timeout=60)
    assert len(load.acknowledged) > 5, load.failed_writes
