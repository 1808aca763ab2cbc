"""The commands of the local stack: up, down, destroy, status, logs and env."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from components.compute.local.containers import ContainerError
from components.compute.local.supervisor import SupervisorError
from delivery.local import lifecycle, ownership
from delivery.local import status as processes
from delivery.local.configuration import CONFIG_FILE, LocalStack
from delivery.local.options import ConfigFile, read
from delivery.outcome import CommandError, ExitCode, reported
from delivery.pulumi.installation import shell
from delivery.terminal import say
from infra.settings.access import AccessMode


def up(
    config_file: ConfigFile = CONFIG_FILE,
    no_smoke: Annotated[bool, typer.Option("--no-smoke", help="Do not run the smoke program at the end.")] = False,
    image: Annotated[
        str | None,
        typer.Option(help=f"What to run from now on: an image of this machine, or {lifecycle.WORKING_TREE}."),
    ] = None,
    access: Annotated[
        AccessMode | None,
        typer.Option(help="Who is let in from now on, everybody (none) or who signs in to an Entra on this machine."),
    ] = None,
) -> int:
    """Bring the whole platform up on this machine and check it.

    Without --image the services run from what the stack's file names, the working tree if it names nothing. With
    --access entra there are two teams to try, unless the file names others.

    Example: mlflow-platform up --no-smoke
    """
    with _opened(config_file) as stack:
        return lifecycle.up(stack, image=image, access=access, smoke_too=not no_smoke)


def down(config_file: ConfigFile = CONFIG_FILE) -> int:
    """Stop every process of the local stack and keep the data.

    Example: mlflow-platform down
    """
    with _opened(config_file) as stack:
        return lifecycle.down(stack)


def destroy(
    config_file: ConfigFile = CONFIG_FILE, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> int:
    """Remove the local stack with all of its data.

    It asks first. Without a terminal, and without --yes, it removes nothing.

    Example: mlflow-platform destroy --yes
    """
    with _opened(config_file) as stack:
        return lifecycle.destroy(stack, confirmed=yes)


def status(
    config_file: ConfigFile = CONFIG_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> int:
    """Show the processes of the local stack.

    It fails unless all of them run and are ready.

    Example: mlflow-platform status --json
    """
    with _opened(config_file) as stack:
        return processes.show(stack, as_json=as_json)


def logs(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="SERVICE", help="Names as `status` shows them.", show_default="all")
    ] = None,
    config_file: ConfigFile = CONFIG_FILE,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as they grow, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(help="Lines of each log.", min=0)] = 40,
) -> int:
    """Show the end of the local stack's logs.

    Example: mlflow-platform logs tracking registry --follow
    """
    with _opened(config_file) as stack:
        known = sorted(stack.layout.logs.glob("*.log"))
        chosen = [path for path in known if not services or path.stem in services]
        if not chosen:
            names = ", ".join(path.stem for path in known) or "none yet"
            wanted = ", ".join(services or []) or "any service"
            raise CommandError(f"logs: no log of {wanted} in {stack.layout.logs}; there are: {names}.")
        command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, chosen)]
        code = subprocess.run(command, check=False).returncode
        return ExitCode.DONE if code == -signal.SIGPIPE else code  # who reads has read enough


def env(config_file: ConfigFile = CONFIG_FILE) -> int:
    """Print the exports for plain `pulumi` commands on the local stack.

    Example: eval "$(mlflow-platform env)"
    """
    with _opened(config_file) as stack:
        ownership.claim(stack.root)
        lifecycle.select(lifecycle.engine(stack), stack)
        say(shell(stack.exports()))
        return ExitCode.DONE


def token(
    config_file: ConfigFile = CONFIG_FILE,
    exports: Annotated[
        bool, typer.Option("--exports", help="Print what `mlflow-entra login` needs instead, for a person.")
    ] = False,
) -> int:
    """Print a token of the local stack's pipeline.

    It is for MLFLOW_TRACKING_TOKEN, curl and other programs.

    It lives for an hour. On Azure `mlflow-entra token` prints one.

    Example: export MLFLOW_TRACKING_TOKEN="$(mlflow-platform token)"
    """
    with _opened(config_file) as stack:
        from delivery.local import sign_in  # imports Pulumi

        say(shell(sign_in.of_a_person(stack)) if exports else sign_in.token(stack))
        return ExitCode.DONE


@contextmanager
def _opened(config_file: Path) -> Iterator[LocalStack]:
    """The stack of a configuration file, with what its parts refuse turned into one line."""
    with reported(SupervisorError, ContainerError):
        yield read(config_file)
