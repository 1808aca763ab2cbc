"""An upgrade of a whole local stack from one image to another, and the way back, beside clients that keep logging.

`python -m tests.benchmarks.rolling_upgrade OLD NEW` brings a stack of its own up from the image OLD, writes runs,
models, traces and artifacts, and rolls it to NEW and back. The way back works or is refused, as `mlflow-runtime
schema` says.
Some minutes. Fails if MLflow's own client saw an error, or if anything that was acknowledged cannot be read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.compute.local import containers
from components.compute.local.containers import Image, find_image
from components.compute.local.launch import Process, command_line, environment
from mlflow_runtime.schema import history
from mlflow_runtime.schema.comparison import compare
from tests.benchmarks.rolling import Outcome, clients, outcomes, replicas
from tests.end_to_end.upgrade.reading import Services, read_all
from tests.support.answer import Answer
from tests.support.local_stack import RunningStack, eventually
from tests.support.ports import first_of_free_ports

WRITER = Path(__file__).resolve().parents[1] / "end_to_end" / "upgrade" / "old" / "write.py"
CLIENTS, REPLICAS = 2, 2
MLFLOWS = "MLflow's client"


@dataclass(frozen=True)
class Gateway:
    """The gateway of a stack, for those who read data through it."""

    stack: RunningStack

    def ask(self, path: str, body: Any = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        return self.stack.ask(path, data=data, headers={"Content-Type": "application/json"})


@contextlib.contextmanager
def stack_of(image: str, count: int) -> Iterator[RunningStack]:
    """A stack of its own from an image, with `count` replicas of each service; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="rolling-upgrade-"))
    stack = RunningStack.configured(folder)
    stack.configure(**replicas(count))
    try:
        _done(stack.run("up", "--no-smoke", "--image", image))
        yield stack
    finally:
        _done(stack.run("destroy", "--yes"))
        shutil.rmtree(folder)


def write(stack: RunningStack, name: str) -> dict[str, Any]:
    """Runs, a model, traces and artifacts, by MLflow's client of this checkout; what `read_all` can check."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(stack.local.root), "MLFLOW_TRACKING_URI": stack.url}
    done = subprocess.run(
        [sys.executable, WRITER, name, "traces"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def rolled(stack: RunningStack, image: Image, count: int) -> Iterator[str]:
    """Roll the stack to an image beside clients, and judge what became of them."""
    before, start = stack.supervisor.pids(), time.monotonic()
    with clients(stack.url, count) as made:
        _done(stack.run("up", "--no-smoke", "--image", image.identifier))
        seconds = time.monotonic() - start
    replaced = sorted(name for name, pid in stack.supervisor.pids().items() if before.get(name) != pid)
    yield f"to MLflow {image.mlflow} in {seconds:.0f} s, replaced: {', '.join(replaced)}"
    running = {row["image"] for row in json.loads(stack.run("status", "--json").stdout)["processes"]} - {None}
    assert running == {image.identifier}, running
    yield from _judged(outcomes(stack.url, made))


def refused(stack: RunningStack, image: Image, count: int) -> Iterator[str]:
    """`up` to an image whose code does not run on the schema: it fails with the reason, and all go on serving."""
    before = stack.supervisor.pids()
    with clients(stack.url, count) as made:
        done = stack.run("up", "--no-smoke", "--image", image.identifier)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert stack.supervisor.pids() == before
    reason = next((line.strip() for line in said.splitlines() if "revision" in line and "schema" in line), "")
    assert reason, said
    yield f"back to MLflow {image.mlflow}: refused, no process replaced; prepare: {reason[:600]}"
    yield from _judged(outcomes(stack.url, made))
    yield f"  a tracking replica of the old image: {_refusal(stack, image)}"


def _refusal(stack: RunningStack, image: Image) -> str:
    """What a tracking replica of the image says on its `/ready` when it is started beside the stack's own."""
    layout = stack.local.layout
    process = Process.read(layout.processes / "tracking.json")
    port, spool = first_of_free_ports(1), layout.spool / "beside"
    spool.mkdir()
    beside = replace(
        process,
        name="beside",
        image=image.identifier,
        spool=str(spool),
        env=process.env
        | {"PORT": str(port)}
        | ({"MLFLOW_RUNTIME_METRICS_PORT": "0"} if "MLFLOW_RUNTIME_METRICS_PORT" in process.env else {}),
    )
    child = subprocess.Popen(
        command_line(beside), env=environment(beside), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: b"revision" in stack.ask("/ready", port=port).content, what="a reason on /ready")
        answer = stack.ask("/ready", port=port)
        assert answer.status == 503, answer
        return f"{answer.status} {answer.content.decode()[:600]}"
    finally:
        child.terminate()
        child.wait(60)
        containers.remove(layout.root, "beside")


def upgrade(old: Image, new: Image, count: int) -> Iterator[str]:
    """Roll from `old` to `new` and back; a line of figures for each part."""
    known = history.known()
    back = compare(known, known.head_of(new.mlflow), known.head_of(old.mlflow))
    with stack_of(old.identifier, REPLICAS) as stack:
        gateway = Services(*[Gateway(stack)] * 3)
        made = write(stack, "before")
        yield f"written with MLflow {old.mlflow}, read: {read_all(gateway, made)}"
        yield from rolled(stack, new, count)
        late = write(stack, "after")
        yield f"  written before, read: {read_all(gateway, made)}; written after: {read_all(gateway, late)}"
        yield from rolled(stack, old, count) if back.older_code_runs else refused(stack, old, count)
        yield f"  written before, read: {read_all(gateway, made)}; written after: {read_all(gateway, late)}"


def _judged(found: list[Outcome]) -> Iterator[str]:
    for one in found:
        yield (
            f"  {one.name}: {one.requests} requests, {len(one.failed)} failed, {one.acknowledged} acknowledged, "
            f"{one.lost} lost, slowest {one.longest:.2f} s"
        )
        yield from (f"    {failure}" for failure in one.failed[:5])
    assert not sum(one.lost for one in found), "acknowledged writes are lost"
    assert not [failure for one in found if one.name == MLFLOWS for failure in one.failed]


def _done(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rolling_upgrade", description=__doc__)
    parser.add_argument("old", metavar="OLD", help="an image of the runtime that this machine has")
    parser.add_argument("new", metavar="NEW", help="the one to roll to")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="of each kind (default: %(default)s)")
    given = parser.parse_args()
    for line in upgrade(find_image(given.old), find_image(given.new), given.clients):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
