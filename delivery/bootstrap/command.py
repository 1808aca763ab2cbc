"""`mlflow-platform bootstrap`: the stack that the others depend on, from an empty subscription to its own account."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from delivery.bootstrap.moving import Bootstrapped, Move, Step
from delivery.bootstrap.places import Here
from delivery.local.progress import shown
from delivery.outcome import CommandError, ExitCode, reported
from delivery.preview.command import show as preview
from delivery.pulumi.engine import EngineError
from delivery.pulumi.installation import REPOSITORY, users_environment
from delivery.pulumi.lock import exclusive
from delivery.pulumi.project import own_values, project_name, stack_document
from delivery.terminal import confirmed, interactive, say
from infra.settings.bootstrap import BOOTSTRAP as PROFILE

STACK: Final = "bootstrap"
FOLDER: Final = ".bootstrap"


def bootstrap(
    stack: Annotated[str, typer.Argument(metavar="[STACK]", help="The bootstrap stack.")] = STACK,
    folder: Annotated[
        Path | None, typer.Option(help="Where the state is meanwhile.", show_default=f"{FOLDER} in the checkout")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not show the plan and ask first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> int:
    """Make the stack that the others depend on, and move its state into the account that it makes.

    It needs Owner on the subscription, and a place in the group `bootstrap.administrators`. Each step looks whether it
    was done: whatever interrupted it, run it again. Afterwards no stack needs an Owner.

    Example: mlflow-platform bootstrap
    """
    repository = REPOSITORY
    file = repository / "stacks" / f"Pulumi.{stack}.yaml"
    _refuse(stack, file)
    place = (folder or repository / FOLDER).resolve()
    here = Here(folder=place, stack=stack, repository=repository, environment=users_environment())
    notices = sys.stderr if as_json else sys.stdout
    with exclusive(place, state=here.state), reported(EngineError):
        move = Move(here=here, up=_followed if interactive(notices) else _plain)
        if not (yes or move.finished() or here.exists) and not _agreed(stack, notices):
            return ExitCode.FAILED
        steps = perform(move, lambda line: say(line, notices))
        found = move.finished()
    if found is None:
        raise AssertionError("a run that ends has finished")
    say(json.dumps(document(stack, steps, found), indent=2) if as_json else text(stack, found))
    return ExitCode.DONE


def _refuse(stack: str, file: Path) -> None:
    """Raise CommandError for a stack that is no bootstrap stack, or whose file has the example's administrators."""
    document = stack_document(file.parents[1], stack) if file.is_file() else {}
    values = own_values(document, project_name(file.parents[1]))
    if values.get("profile") != PROFILE:
        raise CommandError(
            f"STACK: got {stack!r}, whose file {file} is missing or has another profile than {PROFILE}; expected a "
            "bootstrap stack. Run: mlflow-platform bootstrap",
            ExitCode.USAGE,
        )
    if set(str((values.get(PROFILE) or {}).get("administrators", ""))) <= {"0", "-"}:
        raise CommandError(
            "bootstrap.administrators: got the example's zeros; expected the id of an Entra group, which "
            "`az ad group show --group NAME --query id` prints. Run: pulumi config set --path "
            f"bootstrap.administrators ID -s {stack}",
            ExitCode.USAGE,
        )


def perform(move: Move, tell: Callable[[str], None]) -> list[Step]:
    """Do each step and tell of it."""
    steps = []
    for step in move.run():
        tell(f"{'done' if step.needed else 'done before'}: {step.name}")
        steps.append(step)
    return steps


def document(stack: str, steps: list[Step], found: Bootstrapped) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "stack": stack,
        "backend": found.target.backend,
        "secretsProvider": found.target.secrets_provider,
        "outputs": dict(found.outputs),
        "steps": [{"name": step.name, "needed": step.needed} for step in steps],
    }


def text(stack: str, found: Bootstrapped) -> str:
    """What a person reads at the end."""
    return (
        f"Stack {stack} keeps its state in its own account. Commit stacks/Pulumi.{stack}.yaml: it has the key for it "
        f"now.\nNext, for this stack:  pulumi login '{found.target.backend}' && pulumi preview -s {stack}\n"
        f"Images are built into:  {found.outputs.get('build_registry', '')}\n"
        f"image.source of stacks: {found.outputs.get('build_registry_id', '')}"
    )


def _agreed(stack: str, notices: Any) -> bool:
    question = f"Make stack {stack} and all of that on Azure?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Not asked: there is no terminal. --yes goes ahead.", ExitCode.USAGE)
    preview(stack, offline=True)
    if confirmed(question, notices):
        return True
    say("Nothing was changed.", notices)
    return False


def _plain(here: Here) -> None:
    here.pulumi.must("up", "--yes", "--skip-preview")


def _followed(here: Here) -> None:
    with ExitStack() as opened:
        event = opened.enter_context(shown(f"pulumi up -s {here.stack}"))
        result = here.pulumi.follow("up", "--yes", "--skip-preview", event=event)
    if result.code != 0:
        raise EngineError(f"`pulumi up` failed; run the command again to go on.\n{result.text.strip()}")
