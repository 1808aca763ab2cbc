"""`mlflow-platform doctor`: what keeps a command on a stack from working, before it is tried."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from delivery.doctor import report
from delivery.doctor.checks import Command, made
from delivery.doctor.facts import gather
from delivery.outcome import ExitCode
from delivery.pulumi.installation import users_environment
from delivery.recover.engine import Engine
from delivery.stacks import refuse
from delivery.terminal import say


def doctor(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A stack with a file in stacks/: dev, staging, prod.")],
    command: Annotated[
        Command | None, typer.Argument(metavar="[COMMAND]", help="Check what this command needs: up, preview, promote…")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of Azure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check what a command on a stack of Azure needs, with the command that fixes each fault.

    It changes nothing. Without a sign-in the checks that ask Azure are left out, and say so. It fails if a check fails.

    Example: mlflow-platform doctor prod up
    """
    refuse(stack)
    engine = Engine(stack=stack, config_file=None, environment=users_environment())
    return show(engine, command, azure=not offline, as_json=as_json)


def show(engine: Engine, command: Command | None = None, *, azure: bool, as_json: bool = False) -> ExitCode:
    """Write the checks of a stack to stdout; return the exit code."""
    found = made(gather(engine, azure=azure), command)
    if as_json:
        say(json.dumps(report.document(engine.stack, command or "", found), indent=2))
    else:
        report.show(engine.stack, found)
    return report.exit_code(found)
