"""`mlflow-platform COMMAND`: the one command line around stacks.

The module of a command is imported when the command runs or shows its own help, so that the list of commands appears at
once.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from delivery.federation import signed_in
from delivery.outcome import EXIT_CODES, CommandError, ExitCode, error_document
from delivery.terminal import guard, interactive, open_closed, say

PROGRAM: Final = "mlflow-platform"

_AGAIN_SECONDS: Final = 0.05

# By name: where the command's function (or its typer program, for a command with commands of its own) is, and its line
# in the list of commands.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("delivery.apply.command:up", "Bring the local stack up, or apply the approved plan of a stack on Azure."),
    "down": ("delivery.local.command:down", "Stop every process of the local stack and keep the data."),
    "destroy": ("delivery.local.command:destroy", "Remove the local stack with all of its data."),
    "status": ("delivery.local.command:status", "Show the processes of the local stack."),
    "logs": ("delivery.local.command:logs", "Show the end of the local stack's logs."),
    "dashboard": ("delivery.dashboard.command:dashboard", "Show the local stack's metrics as charts, until Ctrl-C."),
    "env": ("delivery.local.command:env", "Print the exports for plain `pulumi` commands on the local stack."),
    "audit": ("delivery.audit.command:audit", "Show who changed what, and who was refused."),
    "quotas": (
        "delivery.quotas.command:quotas",
        "Show what each team stores of artifacts, and fail if one is over its quota.",
    ),
    "token": ("delivery.local.command:token", "Print a token of the local stack's pipeline."),
    "smoke": (
        "delivery.smoke.command:smoke",
        "Check that a data scientist's day works against an MLflow, and clean up.",
    ),
    "bench": ("delivery.bench.command:bench", "Load MLflow and this platform side by side, and compare them."),
    "preview": (
        "delivery.preview.command:preview",
        "Show what an update of a stack would do on Azure, the worst first.",
    ),
    "report": (
        "delivery.pull_request.command:report",
        "Write saved plans to a pull request as one comment, or drift to issues.",
    ),
    "drift": ("delivery.drift.command:drift", "Show what differs on Azure from what the program made there."),
    "cost": ("delivery.cost.command:cost", "Show what a stack costs a month by list prices."),
    "promote": ("delivery.promote.command:promote", "Propose a release for the next stack, as a branch to review."),
    "doctor": (
        "delivery.doctor.command:doctor",
        "Check what a command on a stack of Azure needs, with the command that fixes each fault.",
    ),
    "bootstrap": (
        "delivery.bootstrap.command:bootstrap",
        "Make the stack that the others depend on, and move its state into the account that it makes.",
    ),
    "recover": ("delivery.recover.command:recover", "Bring a stack back whose `pulumi up` was killed."),
    "schema": ("delivery.schema.command:schema", "Show what a change of MLflow's version does to the databases."),
    "image": (
        "delivery.image.command:app",
        "Build the image, compare two builds, push one to a registry, or run a role from it.",
    ),
    "manifests": (
        "delivery.kubernetes.command:manifests",
        "Write the objects that a stack would be in a Kubernetes cluster, as YAML.",
    ),
    "kubernetes-token": (
        "delivery.kubernetes.token:kubernetes_token",
        "Print a token for an AKS cluster, as kubectl and Pulumi ask for it.",
    ),
    "reference": (
        "delivery.reference.command:reference",
        "Write what of docs/ comes from the program: alerts, capacity, configuration, costs, rights, rules, stacks.",
    ),
    "offline-azure": (
        "delivery.offline_azure.command:offline_azure",
        "Run an offline Azure for plain `pulumi` commands, until Ctrl-C.",
    ),
}


class LazyCommand(TyperCommand):
    """Stands for a command in the list; becomes the command itself when it is called."""

    def __init__(self, name: str, target: str, summary: str) -> None:
        super().__init__(name, help=summary, rich_markup_mode=markup())
        self.target = target

    def load(self) -> Any:
        """Return the command itself: import its module."""
        module, _, attribute = self.target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            program = found
        else:
            program = typer.Typer(add_completion=False)
            program.command(self.name, epilog=EXIT_CODES)(found)
        program.rich_markup_mode = markup()
        return typer.main.get_command(program)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Hand over to the command itself, which parses its own arguments."""
        return self.load().make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        commands = {name: LazyCommand(name, target, summary) for name, (target, summary) in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": commands})

    def invoke(self, ctx: Any) -> Any:
        """Run the command; its return value is its exit code."""
        try:
            raise typer.Exit(int(super().invoke(ctx) or ExitCode.DONE))
        except KeyboardInterrupt:
            say("Interrupted.", sys.stderr)
            raise typer.Exit(ExitCode.INTERRUPTED) from None


def markup() -> Any:
    """Help and usage errors are coloured on a terminal only."""
    return "rich" if interactive() and interactive(sys.stderr) else None


app = typer.Typer(
    cls=Commands,
    name=PROGRAM,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=markup(),
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog=EXIT_CODES)
def root() -> None:
    """Run MLflow's platform on this machine, and look after its stacks.

    Example: mlflow-platform status --json
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return its exit code. An error that a user can fix is one line on stderr.

    A program that asked for a document gets one on stdout, for wrong usage too.
    """
    try:
        command, standalone = typer.main.get_command(app), not asks_for_document(arguments)
        code = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=standalone)
    except CommandError as error:
        return failed(error, arguments)
    except TyperException as error:
        return failed(CommandError(error.format_message(), error.exit_code), arguments)
    except SystemExit as ended:
        code = ended.code
    return code if isinstance(code, int) else ExitCode.FAILED


def failed(error: CommandError, arguments: Sequence[str]) -> int:
    """Say why a command line failed; return its exit code."""
    if asks_for_document(arguments):
        named = [word for word in arguments if word in COMMANDS][:1]
        found = error_document(str(error), error.code, otherwise=" ".join([PROGRAM, *named, "--help"]))
        say(json.dumps({**error.document, **found}, indent=2))
    say(str(error), sys.stderr)
    return error.code


def asks_for_document(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a document on stdout, whatever else is wrong with it."""
    own = [*arguments][: arguments.index("--")] if "--" in arguments else arguments
    return not {"--json", "--form=json"}.isdisjoint(own) or ("--form", "json") in pairwise(own)


def main() -> None:
    """Entry point of the console script. SIGTERM ends a command in good order, as Ctrl-C does.

    In a workflow the command is signed in to Azure for as long as it runs.
    """
    signal.signal(signal.SIGTERM, _terminated)
    sys.unraisablehook = _sent_again
    open_closed()
    guard()
    try:
        with signed_in():
            code = run(sys.argv[1:])
    except CommandError as error:
        code = failed(error, sys.argv[1:])
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    sys.exit(code)


def _terminated(*_: object) -> None:
    raise SystemExit(ExitCode.TERMINATED)


def _sent_again(ignored: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception came where the interpreter can raise none, such as in a library's callback.

    It would be printed and lost, and the command go on. Any other exception is printed.
    """
    numbers = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}
    if (number := numbers.get(ignored.exc_type)) is None:
        sys.__unraisablehook__(ignored)
    else:
        # Not at once: this function may be left only to where none can be raised.
        threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
