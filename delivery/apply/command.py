"""`mlflow-platform up`: the local stack, or the approved plan of a stack on Azure."""

from __future__ import annotations

import enum
from typing import Annotated, Final

import typer

from delivery.local import command as local
from delivery.local import lifecycle
from delivery.local.configuration import CONFIG_FILE
from delivery.local.options import ConfigFile
from delivery.outcome import CommandError, ExitCode
from delivery.pulumi.installation import users_environment
from delivery.recover.engine import Engine
from delivery.stacks import LOCAL, refuse
from infra.settings.access import AccessMode


class Form(enum.StrEnum):
    """How the end is written: for a person here, for a program, or for a job's summary."""

    TERMINAL = "terminal"
    JSON = "json"
    SUMMARY = "summary"


_OF_LOCAL: Final = "the local stack alone"
_OF_AZURE: Final = "a stack on Azure, which has to be named"


def up(
    stack: Annotated[
        str, typer.Argument(metavar="[STACK]", help="A stack with a file in stacks/: local, dev, staging, prod.")
    ] = LOCAL,
    approved: Annotated[
        str | None,
        typer.Option(
            metavar="PLAN",
            help="On Azure: the approved plan, as `preview` prints it, or a file of `preview --json` or `--save`.",
        ),
    ] = None,
    config_file: ConfigFile = CONFIG_FILE,
    no_smoke: Annotated[bool, typer.Option("--no-smoke", help="Do not run the smoke program at the end.")] = False,
    image: Annotated[
        str | None,
        typer.Option(help=f"Locally: what to run from now on, an image of this machine or {lifecycle.WORKING_TREE}."),
    ] = None,
    access: Annotated[
        AccessMode | None,
        typer.Option(
            help="Locally: who is let in from now on, everybody (none) or who signs in to an Entra on this machine."
        ),
    ] = None,
    smoke_url: Annotated[
        str, typer.Option(metavar="URL", help="On Azure: where the gateway is reached.", show_default="output url")
    ] = "",
    form: Annotated[Form, typer.Option(help="On Azure: how the end is written.")] = Form.TERMINAL,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --form json.")] = False,
) -> int:
    """Bring the local stack up, or apply the approved plan of a stack on Azure.

    Without STACK the whole platform comes up on this machine and is checked; without --image its services run from what
    the stack's file names, the working tree if it names nothing; with --access entra there are two teams to try, unless
    the file names others. On Azure the plan is computed again first: if it is
    not the approved one, nothing is changed, and the difference is shown.

    Example: mlflow-platform up dev --approved 06310bd07e57f380
    """
    form = Form.JSON if as_json else form
    if stack == LOCAL:
        _refuse_options(_OF_AZURE, {"--approved": approved, "--smoke-url": smoke_url, "--form": form != Form.TERMINAL})
        return local.up(config_file=config_file, no_smoke=no_smoke, image=image, access=access)
    _refuse_options(_OF_LOCAL, {"--image": image, "--access": access, "--config-file": config_file != CONFIG_FILE})
    refuse(stack)
    if approved is None:
        raise CommandError(
            f"--approved: got nothing; expected the plan of stack {stack} that somebody approved. Run: "
            f"mlflow-platform preview {stack}",
            ExitCode.USAGE,
        )
    from delivery.apply import approved as plan  # imports Pulumi, which the local stack's `up` leaves to the engine

    engine = Engine(stack=stack, config_file=None, environment=users_environment())
    return plan.run(engine, approved, form, smoke=not no_smoke, url=smoke_url, drift=plan.look_for_drift)


def _refuse_options(whose: str, given: dict[str, object]) -> None:
    for option, value in given.items():
        if value:
            raise CommandError(
                f"{option}: is for {whose}; leave it out, or name another stack. Run: mlflow-platform up --help",
                ExitCode.USAGE,
            )
