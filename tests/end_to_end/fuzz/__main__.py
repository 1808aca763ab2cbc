"""Send wrong requests of all kinds to a local stack and compare its failures with stock MLflow's.

`python -m tests.end_to_end.fuzz`: a stack of its own on free ports, or that of `--config-file`, which must be up and
whose data the requests change. Ends with 1 if a request fails here and not with stock MLflow, if a process ended, is
not ready or grew, or if an answer is not one of the platform's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.fuzz.fuzzing import fuzz
from tests.end_to_end.fuzz.judging import Findings
from tests.support.local_stack import RunningStack
from tools.steps import Report, main


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m tests.end_to_end.fuzz", description=(__doc__ or "").partition("\n")[0]
    )
    found.add_argument("--seconds", type=float, default=300, help="how long requests are sent (default: 300)")
    found.add_argument("--seed", type=int, help="of the first round, to send the same requests again (default: any)")
    found.add_argument("--json", action="store_true", help="print a JSON document")
    found.add_argument("--config-file", type=Path, help="a local stack that is up (default: one of its own)")
    return found


def shown(found: Findings, seed: int) -> str:
    """The result as text."""
    lines = [f"seed {seed}: {found.requests} requests, {found.classes}, {found.broken_http} that are no HTTP"]
    warm, end = found.memory
    lines += [f"memory of {name}: {warm.get(name, size):.0f} to {size:.0f} MiB" for name, size in end.items()]
    for title, kept in (("stock MLflow fails too", found.stocks), ("ONLY THE PLATFORM FAILS", found.ours)):
        lines += [f"{title}: {len(kept)}"]
        lines += [
            f"  {found.counted[key]} x {failure.operation}: {failure.answer}\n    stock: {failure.stock}"
            f"\n    {failure.example}"
            for key, failure in sorted(kept.items())
        ]
    lines += [f"failed once: {line}" for line in found.once]
    lines += [f"BROKEN: {line}" for line in found.broken]
    return "\n".join(lines)


def document(found: Findings, seed: int) -> str:
    """The result as JSON."""
    warm, end = found.memory
    counted = {
        name: [{**dataclasses.asdict(failure), "times": found.counted[key]} for key, failure in sorted(kept.items())]
        for name, kept in (("ours", found.ours), ("stocks", found.stocks))
    }
    return json.dumps(
        {
            **{"seed": seed, "requests": found.requests, "classes": found.classes},
            **{"statuses": found.statuses, "broken_http": found.broken_http, "memory": {"warm": warm, "end": end}},
            **{**counted, "once": found.once, "broken": found.broken},
        },
        indent=1,
    )


def run(report: Report) -> None:
    """Run it as the command line says."""
    arguments = parser().parse_args()
    seed = random.randrange(1 << 30) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = arguments.config_file is None
        stack = RunningStack.configured(folder) if own else RunningStack(arguments.config_file)
        try:
            if own:
                report("bringing a stack up")
                stack.up()
            found = fuzz(stack, folder, seconds=arguments.seconds, first=seed, report=report)
        finally:
            if own:
                stack.run("destroy", "--yes")
    print(document(found, seed) if arguments.json else shown(found, seed))
    if found.ours or found.broken:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main("fuzz", run))
