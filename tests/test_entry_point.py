"""The Pulumi program's entry point."""

from __future__ import annotations

import signal
import subprocess
import sys

from delivery.pulumi.installation import REPOSITORY

# Its parts stand aside, and the engine's interrupt comes while the program runs.
INTERRUPTED = """
import os, runpy, signal, sys, types
sdk, program = types.ModuleType("infra.sdk"), types.ModuleType("infra.program")
sdk.spare = lambda: None
program.main = lambda: os.kill(os.getpid(), signal.SIGINT)
sys.modules.update({"infra.sdk": sdk, "infra.program": program})
runpy.run_path("__main__.py", run_name="__main__")
"""


def test_an_interrupted_program_ends_and_says_nothing() -> None:
    """Whoever reads why a resource failed is shown no traceback beside."""
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
