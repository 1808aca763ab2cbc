"""`mlflow-platform recover`: a stack whose `pulumi up` was killed is brought back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from delivery.outcome import CommandError, ExitCode
from delivery.pulumi.installation import users_environment
from delivery.recover import report
from delivery.recover.engine import Engine, EngineError
from delivery.recover.recovery import look
from delivery.recover.recovery import recover as bring_back
from delivery.terminal import confirmed as asked
from delivery.terminal import say


def recover(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="Name of the stack, as in `pulumi up --stack`.")],
    config_file: Annotated[
        Path | None, typer.Option(help="The stack's file, if it is not stacks/Pulumi.STACK.yaml.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: nothing else works on the stack.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> int:
    """Bring a stack back whose `pulumi up` was killed.

    It takes the lock off, brings what Azure has created meanwhile into the state, and leaves the rest to the next `up`.
    It says what it found and asks first. It fails if something could not be brought back.

    Example: mlflow-platform recover prod
    """
    if not stack:
        raise CommandError("STACK: got ''; expected a stack's name. Run: mlflow-platform recover prod", ExitCode.USAGE)
    if config_file is not None and not config_file.is_file():
        raise CommandError(
            f"--config-file: {config_file} is not a file; give the stack's file, or leave the option out.",
            ExitCode.USAGE,
        )
    try:
        engine = Engine(stack=stack, config_file=config_file and config_file.resolve(), environment=users_environment())
        return _run(engine, confirmed=yes, as_json=as_json)
    except EngineError as error:
        raise CommandError(f"{error}\nIt is safe to run the recovery again.", error.code) from error
    except KeyboardInterrupt:
        raise CommandError("Interrupted. Run the recovery again to go on.", ExitCode.INTERRUPTED) from None


def _run(engine: Engine, *, confirmed: bool, as_json: bool) -> int:
    # A document goes to stdout alone.
    notices = sys.stderr if as_json else sys.stdout
    found = look(engine)
    say(report.found_text(engine.stack, found), notices)
    if found.nothing:
        if as_json:
            say(json.dumps(report.document(engine.stack, found, None), indent=2))
        return ExitCode.DONE
    if not confirmed:
        question = report.question(engine.stack)
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Not asked: there is no terminal. --yes goes ahead.", ExitCode.USAGE)
        if not asked(question, notices):
            say("Nothing was changed.", notices)
            return ExitCode.FAILED
    done = bring_back(engine, found)
    say(report.done_text(engine.stack, done), notices)
    if as_json:
        say(json.dumps(report.document(engine.stack, found, done), indent=2))
    return ExitCode.DONE if done.complete else ExitCode.FAILED
