"""Clients of default settings beside an outage: which of their runs are whole afterwards.

`python -m tests.benchmarks.outages` brings a stack of its own up, lets several processes train with MLflow's own API,
takes tracking (every replica), the gateway and PostgreSQL away for two minutes each, and prints a row for each outage.
Exit code 1 if a client failed or a run is not whole.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.local.test_faults import held_down
from tests.support.local_stack import RunningStack, eventually
from tests.support.patience import OUTAGE_SECONDS

OUTAGES = {"tracking": ("tracking", "tracking-2"), "gateway": ("gateway",), "postgres": ("postgres",)}
BEFORE_SECONDS = 5
# From the end of an outage to a client's last try, and the end of the run that it is in.
AFTER_SECONDS = 300
METRICS = 10

# A training job: runs one after the other until its file is there. It prints a line for each run that it ended.
_CLIENT = """
import sys, time
from pathlib import Path
import mlflow

url, experiment, stop, metrics = sys.argv[1:]
mlflow.set_tracking_uri(url)
mlflow.set_experiment(experiment_id=experiment)
while not Path(stop).exists():
    longest = 0.0
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1, "b": 2})
        for step in range(int(metrics)):
            begun = time.monotonic()
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
            longest = max(longest, time.monotonic() - begun)
            time.sleep(0.1)
        mlflow.log_text("done", "done.txt")
    print(run.info.run_id, longest, flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of the clients of one outage. `longest` is the slowest call of a metric, in seconds."""

    outage: str
    failed: list[str]
    runs: int
    broken: list[str]
    longest: float

    def __str__(self) -> str:
        return f"| {self.outage} | {self.runs} | {len(self.broken)} | {len(self.failed)} | {self.longest:.0f} |"


def outage(stack: RunningStack, name: str, seconds: float, clients: int, folder: Path) -> Row:
    """Take the processes away beside the clients, and look at every run afterwards."""
    experiment = stack.call("experiments/create", {"name": f"{name}-{uuid.uuid4()}"})["experiment_id"]
    stop = folder / f"{name}.stop"
    arguments = [stack.url, experiment, str(stop), str(METRICS)]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", _CLIENT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for _ in range(clients)
    ]
    try:
        eventually(lambda: len(_runs(stack, experiment)) > clients, AFTER_SECONDS, "every client at work")
        time.sleep(BEFORE_SECONDS)
        with contextlib.ExitStack() as away:
            for process in OUTAGES[name]:
                away.enter_context(held_down(stack, process))
            time.sleep(seconds)
        eventually(stack.healthy, what="health after the outage")
        stop.touch()
        ended = [job.communicate(timeout=AFTER_SECONDS) for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    lines = [line.split() for out, _ in ended for line in out.splitlines() if line.count(" ") == 1]
    whole = {run_id for run_id, run in _runs(stack, experiment).items() if _is_whole(run)}
    return Row(
        outage=name,
        failed=[err[-2000:] for job, (_, err) in zip(jobs, ended, strict=True) if job.returncode],
        runs=len(_runs(stack, experiment)),
        broken=sorted(_runs(stack, experiment).keys() - whole),
        longest=max((float(seconds) for _, seconds in lines), default=0.0),
    )


def _runs(stack: RunningStack, experiment: str) -> dict[str, dict[str, dict[str, object]]]:
    found = stack.call("runs/search", {"experiment_ids": [experiment], "max_results": 5000})
    return {run["info"]["run_id"]: run for run in found.get("runs", [])}


def _is_whole(run: dict[str, dict[str, object]]) -> bool:
    metrics = {metric["key"]: metric for metric in run["data"].get("metrics", [])}  # type: ignore[attr-defined]
    last = metrics.get("loss", {}).get("step")
    return run["info"]["status"] == "FINISHED" and int(last or -1) == METRICS - 1


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.outages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=OUTAGE_SECONDS, help="of each outage (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--of", nargs="+", choices=sorted(OUTAGES), default=sorted(OUTAGES))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="outages-"))
    stack = RunningStack.configured(folder)
    rows = []
    try:
        stack.up()
        print("| away | runs | not whole | clients that failed | slowest call, s |\n|---|---|---|---|---|", flush=True)
        for name in arguments.of:
            rows.append(outage(stack, name, arguments.seconds, arguments.clients, folder))
            print(rows[-1], flush=True)
            print(json.dumps([*rows[-1].failed, *rows[-1].broken], indent=1), file=sys.stderr, flush=True)
    finally:
        stack.run("destroy", "--yes")
        shutil.rmtree(folder)
    return 1 if any(row.failed or row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
