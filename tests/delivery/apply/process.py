"""`up dev --approved PLAN --json --no-smoke` for the stack of a repository, as a process that can be ended.

    python -m tests.delivery.apply.process REPOSITORY PLAN

Its environment is that of the engine.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from delivery.apply.approved import run
from delivery.apply.command import Form
from delivery.outcome import CommandError, ExitCode
from delivery.recover.engine import Engine
from tests.delivery.apply.stack import STACK


def main(repository: str, plan: str) -> int:
    """Be the command, apart from how its arguments are read; return its exit code."""
    engine = Engine(stack=STACK, config_file=None, environment=dict(os.environ), repository=Path(repository))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.TERMINATED))
    try:
        return run(engine, plan, Form.JSON, smoke=False, url="")
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
