"""The image's entry point: `mlflow-runtime ROLE`, and `mlflow-runtime schema OLD NEW`, which only tells something.

Exit codes: 0 a stop that was asked for or a job that is done, 1 a failure, 2 a wrong role or wrong settings, 143 a job
that was ended by SIGTERM, which is safe to run again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Final, NoReturn

from mlflow_runtime.routes import ANSWERS, ServiceRole

Run = Callable[[Mapping[str, str]], int]


# Imports are inside, so that a role loads only what it needs. The gateway needs neither MLflow nor Azure's clients; the
# other roles load MLflow, which takes seconds, when their settings have been found right.
def _gateway(env: Mapping[str, str]) -> int:
    from mlflow_runtime import gateway

    return gateway.run(env)


def _prepare(env: Mapping[str, str]) -> int:
    from mlflow_runtime import prepare

    # The first process of a container has no default for it and would run on. What is not committed is undone.
    signal.signal(signal.SIGTERM, _terminated)
    return prepare.run(env)


def _service(role: ServiceRole) -> Run:
    def run(env: Mapping[str, str]) -> int:
        from mlflow_runtime.service import server as service

        return service.run(role, env)

    return run


_ROLES: Final[Mapping[str, tuple[str, Run]]] = {
    "gateway": ("routes clients' requests to the services", _gateway),
    **{role.value: (what, _service(role)) for role, what in ANSWERS.items()},
    "prepare": ("makes databases, roles, secrets and schema, then ends", _prepare),
}

_TERMINATED: Final = 143
# No role: it needs no settings and no database.
_SCHEMA: Final = "schema"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the role that the command line names, with settings from the environment, until it ends."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [_SCHEMA]:
        from mlflow_runtime.schema import command

        return command.run(given[1:])
    _, run = _ROLES[_parser().parse_args(given).role]
    try:
        return run(os.environ)
    except KeyboardInterrupt:
        return 130


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlflow-runtime",
        description="One role of MLflow on Azure. Settings come from the environment.",
        epilog="roles:\n"
        + "\n".join(f"  {name:<10} {what}" for name, (what, _) in _ROLES.items())
        + f"\n\n{_SCHEMA} OLD NEW tells what a change of MLflow's version does to the databases.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("role", metavar="ROLE", choices=list(_ROLES), help="what this process is")
    return parser


if __name__ == "__main__":
    sys.exit(main())
