"""Whether the hot path is MLflow, over many random sequences of requests, and whether the comparison finds faults.

`python -m tests.benchmarks.hot_path --sequences 500` starts a data plane and stock MLflow on it, puts a hot path of its
own before it, and compares all answers and rows. Then it seeds each fault, and prints its row.
Exit code 1 if something differs, or if a fault is not found.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.runtime.hotpath import stock
from tests.runtime.hotpath.comparing import Sides, first_difference, sides_of
from tests.runtime.hotpath.examples import EXAMPLES
from tests.runtime.hotpath.faults import FAULTS, FAULTS_AT_ONCE
from tests.support.plane import REPOSITORY
from tests.support.services import platform


def found(sides: Sides, fault: str, sequences: int, seed: int) -> tuple[int, list[str]]:
    """Seed a fault: how many requests it took to find it, and what differed."""
    before = sides.requests
    with pytest.MonkeyPatch.context() as patched:
        {**FAULTS, **FAULTS_AT_ONCE}[fault](patched)
        sides.renew()
        if fault in FAULTS:
            differences = first_difference(sides, sequences, seed=seed, examples=EXAMPLES.values())
        else:
            differences = next(filter(None, (sides.differences_at_once() for _ in range(sequences))), [])
    sides.renew()
    return sides.requests - before, differences


def main() -> int:
    """Print what was compared, and the table of the faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hot_path", description=__doc__)
    parser.add_argument("--sequences", type=int, default=500, help="to compare (default: %(default)s)")
    parser.add_argument("--fault-sequences", type=int, default=100, help="at most, for a fault (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="to compare the same sequences again (default: any)")
    parser.add_argument("--only", nargs="+", choices=[*FAULTS_AT_ONCE, *FAULTS], metavar="FAULT", help="to seed")
    arguments = parser.parse_args()
    seed = random.randrange(1 << 30) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="hot-path-"))
    install = [sys.executable, str(REPOSITORY / "tools" / "azurite" / "install.py")]
    azurite = Path(subprocess.run(install, capture_output=True, text=True, check=True).stdout.strip())
    missed = []
    try:
        with (
            platform(folder, azurite) as made,
            stock.serving(made) as mlflow,
            sides_of(made, mlflow, made.start("tracking")) as sides,
        ):
            differences = first_difference(sides, arguments.sequences, seed=seed, examples=EXAMPLES.values())
            print(
                f"seed {seed}: {sides.sequences} sequences, {sides.requests} requests, {sides.answered} answered "
                f"by the hot path, {len(differences)} differences",
                *differences,
                "| fault | requests until it was found | what differed |\n|---|---|---|",
                sep="\n",
                flush=True,
            )
            for fault in arguments.only or (*FAULTS_AT_ONCE, *FAULTS):
                requests, differences_of_fault = found(sides, fault, arguments.fault_sequences, seed)
                missed += [] if differences_of_fault else [fault]
                shown = differences_of_fault[0][:160] if differences_of_fault else "NOT FOUND"
                print(f"| {fault} | {requests} | `{shown}` |", flush=True)
    finally:
        shutil.rmtree(folder)
    return 1 if differences or missed else 0


if __name__ == "__main__":
    sys.exit(main())
