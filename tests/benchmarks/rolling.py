"""Clients of every service beside a roll-out: what failed, and what was acknowledged and is not there.

`python -m tests.benchmarks.rolling` brings a stack of its own up with two replicas of each service, replaces every
process by a change of its settings while the clients are at work, and prints a row for each kind of client.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.support.local_stack import RunningStack

CLIENTS = 2
LOOK_SECONDS = 10
PAUSE_SECONDS = 0.4  # a client that never pauses takes the processors that the roll-out needs
JSON = {"Content-Type": "application/json"}


def replicas(count: int) -> dict[str, dict[str, int]]:
    """Settings that give every service so many."""
    return {role: {"minReplicas": count, "maxReplicas": count} for role in ("tracking", "registry", "artifacts")}


@dataclass
class Client:
    """Sends one request after the other on connections that are kept, and repeats none.

    `acknowledged` are the numbers of the writes that were answered with 200, `failed` what became of the rest,
    `longest` the seconds of the slowest answer.
    """

    name: str
    write: Callable[[Session, int], None]
    read: Callable[[Session], object]
    stored: Callable[[Session], set[int]]
    acknowledged: set[int] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    requests: int = 0
    longest: float = 0.0

    def work(self, url: str, stop: threading.Event) -> None:
        """Until a stop is asked for."""
        session, number = Session(url), 0
        while not stop.is_set():
            number += 1
            if self._attempt(lambda: self.write(session, number)):  # noqa: B023 - called at once
                self.acknowledged.add(number)
            self._attempt(lambda: self.read(session))
            time.sleep(PAUSE_SECONDS)

    def lost(self, url: str) -> set[int]:
        """Acknowledged writes that cannot be read back."""
        return self.acknowledged - self.stored(Session(url))

    def _attempt(self, request: Callable[[], object]) -> bool:
        self.requests += 1
        begun = time.monotonic()
        try:
            request()
        except (OSError, urllib3.exceptions.HTTPError, AssertionError, MlflowException) as error:
            self.failed.append(f"{time.time():.2f} after {time.monotonic() - begun:.2f} s: {error!r}"[:400])
            time.sleep(0.05)
            return False
        self.longest = max(self.longest, time.monotonic() - begun)
        return True


class Session:
    """Connections of one client."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=60)

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer, which must be 200."""
        answer = self._pool.request(method, self._url + path, body=body, headers=JSON)
        assert answer.status == 200, (answer.status, answer.data[:200])
        return answer.data

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A JSON call of MLflow's REST API 2.0."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.send(method, f"/api/2.0/mlflow/{path}", data))


def tracking(url: str) -> Client:
    """Logs metrics of one run."""
    session = Session(url)
    experiment = session.call("POST", "experiments/create", {"name": f"rolling-{uuid.uuid4()}"})["experiment_id"]
    run = session.call("POST", "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]

    def write(session: Session, number: int) -> None:
        metric = {"run_id": run, "key": "m", "value": number, "timestamp": number, "step": number}
        session.call("POST", "runs/log-metric", metric)

    def stored(session: Session) -> set[int]:
        found: set[int] = set()
        page = ""
        while True:
            query = f"run_id={run}&metric_key=m&max_results=5000&page_token={page}"
            answer = session.call("GET", f"metrics/get-history?{query}")
            found |= {int(metric["step"]) for metric in answer.get("metrics", [])}
            page = answer.get("next_page_token", "")
            if not page:
                return found

    return Client("tracking", write, lambda session: session.call("GET", f"runs/get?run_id={run}"), stored)


def registry(url: str) -> Client:
    """Sets tags of one registered model, and reads its versions: its own answer grows with each tag."""
    model = f"rolling-{uuid.uuid4()}"
    Session(url).call("POST", "registered-models/create", {"name": model})

    def read(session: Session) -> Any:
        return session.call("GET", f"model-versions/search?filter=name%3D%27{model}%27&max_results=1")

    def write(session: Session, number: int) -> None:
        session.call("POST", "registered-models/set-tag", {"name": model, "key": str(number), "value": "x"})

    def stored(session: Session) -> set[int]:
        found = session.call("GET", f"registered-models/get?name={model}")["registered_model"]
        return {int(tag["key"]) for tag in found.get("tags", [])}

    return Client("registry", write, read, stored)


def artifacts(url: str) -> Client:
    """Uploads small files and reads the last one."""
    folder = f"/api/2.0/mlflow-artifacts/artifacts/rolling/{uuid.uuid4()}"
    Session(url).send("PUT", f"{folder}/0", b"0")

    def write(session: Session, number: int) -> None:
        session.send("PUT", f"{folder}/{number}", str(number).encode())

    def stored(session: Session) -> set[int]:
        listed = json.loads(session.send("GET", f"{folder.rpartition('/rolling')[0]}?path=rolling/{folder[-36:]}"))
        return {int(Path(file["path"]).name) for file in listed["files"]}

    return Client("artifacts", write, lambda session: session.send("GET", f"{folder}/0"), stored)


def mlflows(url: str) -> Client:
    """MLflow's own client as it comes, which repeats what failed."""
    client = MlflowClient(url)
    run = client.create_run(client.create_experiment(f"rolling-{uuid.uuid4()}")).info.run_id

    def write(_: Session, number: int) -> None:
        client.log_metric(run, "m", number, step=number)

    def stored(_: Session) -> set[int]:
        return {metric.step for metric in client.get_metric_history(run, "m")}

    return Client("MLflow's client", write, lambda _: client.get_run(run), stored)


@contextmanager
def clients(url: str, count: int = CLIENTS) -> Iterator[list[Client]]:
    """`count` clients of each service, and as many of MLflow's own, at work beside the block."""
    made = [make(url) for make in (tracking, registry, artifacts, mlflows) for _ in range(count)]
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(url, stop), daemon=True) for client in made]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        yield made
        time.sleep(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of all clients of one kind."""

    name: str
    requests: int
    failed: list[str]
    acknowledged: int
    lost: int
    longest: float


def outcomes(url: str, made: list[Client]) -> list[Outcome]:
    """One for each kind of client, after their work."""
    by_name: dict[str, list[Client]] = {}
    for client in made:
        by_name.setdefault(client.name, []).append(client)
    return [
        Outcome(
            name=name,
            requests=sum(client.requests for client in group),
            failed=[failure for client in group for failure in client.failed],
            acknowledged=sum(len(client.acknowledged) for client in group),
            lost=sum(len(client.lost(url)) for client in group),
            longest=max(client.longest for client in group),
        )
        for name, group in by_name.items()
    ]


def replaced_beside_clients(stack: RunningStack, count: int, **values: Any) -> tuple[set[str], list[Outcome]]:
    """Change settings and `up` while clients are at work: which processes were replaced, what became of the clients."""
    before = stack.supervisor.pids()
    with clients(stack.url, count) as made:
        stack.configure(**values)
        stack.up(look_seconds=LOOK_SECONDS)
    replaced = {name for name, pid in stack.supervisor.pids().items() if before.get(name) != pid}
    return replaced, outcomes(stack.url, made)


def main() -> int:
    """Print the table; fails if a request failed or an acknowledged write is not there."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rolling", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS, help="of each service (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="of replacing all (default: %(default)s)")
    parser.add_argument("--replicas", type=int, default=2, help="of each service (default: %(default)s)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rolling-"))
    stack = RunningStack.configured(folder)
    stack.configure(**replicas(arguments.replicas))
    bad = 0
    try:
        stack.up()
        print("| replaced | client | requests | failed | acknowledged | lost | slowest answer, s |")
        print("|---|---|---|---|---|---|---|")
        for number in range(arguments.rounds):
            services = {"maxInFlight": 100 + number}
            for limits in (services, services | {"maxArtifactMib": 1000 + number}):
                replaced, found = replaced_beside_clients(stack, arguments.clients, limits=limits)
                for one in found:
                    bad += len(one.failed) + one.lost
                    print(
                        f"| {', '.join(sorted(replaced))} | {one.name} | {one.requests} | {len(one.failed)} "
                        f"| {one.acknowledged} | {one.lost} | {one.longest:.2f} |",
                        flush=True,
                    )
                    for failure in one.failed[:5]:
                        print(f"  {failure}", file=sys.stderr)
    finally:
        stack.run("destroy", "--yes")
        shutil.rmtree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
