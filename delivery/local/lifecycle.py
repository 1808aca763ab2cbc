"""The local stack from nothing to running, to stopped, to nothing. Each function returns an exit code."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from components.compute.local.containers import find_image, remove_all
from components.compute.local.supervisor import Supervisor
from delivery.local import ownership, progress
from delivery.local.configuration import PROJECT, LocalStack, own_file
from delivery.outcome import ExitCode
from delivery.pulumi.engine import Engine, EngineError
from delivery.pulumi.installation import REPOSITORY, state_file
from delivery.pulumi.lock import exclusive
from delivery.stacks import LOCAL
from delivery.terminal import confirmed as asked
from delivery.terminal import interactive, say, step
from infra.settings.access import AccessMode

WORKING_TREE: Final = "working-tree"
TEAMS: Final = ("team-a", "team-b")
"""The teams of a stack with access control that names none."""


def engine(stack: LocalStack) -> Engine:
    """Return the engine of the local stack; its commands run in the repository."""
    return Engine(folder=REPOSITORY, environment=stack.environment(), options=("--stack", LOCAL))


def up(stack: LocalStack, *, image: str | None, access: AccessMode | None, smoke_too: bool) -> int:
    """Bring the stack to what the program says, check it, and print how to use it.

    `image` and `access` are kept in the stack's configuration file, as `local.image` and `access.mode`. Raises
    CommandError for a folder with files of somebody else.
    """
    started = time.monotonic()
    ownership.claim(stack.root)
    with exclusive(stack.root, state=stack.backend):
        ownership.claim(stack.root)  # again, as a `destroy` may have ended since
        chosen = find_image(image) if image and image != WORKING_TREE else None
        step(f"Bringing up stack {LOCAL} in {stack.root}")
        pulumi = engine(stack)
        select(pulumi, stack)
        if image == WORKING_TREE:
            _show(pulumi, "config", "rm", "--path", "local.image", *_config(stack))
        elif image and chosen:
            say(f"From image {chosen.identifier}: MLflow {chosen.mlflow}, revision {chosen.revision}")
            _show(pulumi, "config", "set", "--path", "local.image", image, *_config(stack))
        with _put_back_on_failure(stack.config_file):
            stack = _with_access(pulumi, stack, access)
            try:
                _follow(pulumi, "Bringing it up", "up", "--yes", "--suppress-permalink=true", *_config(stack))
            except EngineError as error:
                if error.code != ExitCode.FAILED:
                    raise
                raise EngineError(f"{error}{own_file(stack.config_file)}") from None
    step(f"All services are ready after {time.monotonic() - started:.0f} s")
    if smoke_too:
        step(f"Checking {stack.url} with the smoke program")
        smoke = [sys.executable, "-m", "delivery", "smoke", "--config-file", str(stack.config_file)]
        code = subprocess.run(smoke, cwd=REPOSITORY, check=False).returncode
        if code != ExitCode.DONE:
            return code
    say(f"MLflow's UI:       {stack.url}")
    say(f"Point a client at: export MLFLOW_TRACKING_URI={stack.url}")
    if stack.mode is AccessMode.ENTRA:
        say('Sign a client in:  export MLFLOW_WORKSPACE=default MLFLOW_TRACKING_TOKEN="$(mlflow-platform token)"')
    return ExitCode.DONE


@contextmanager
def _put_back_on_failure(file: Path) -> Iterator[None]:
    """Write a file as it was if the block raises: a mode that is refused leaves the teams that somebody wrote."""
    before = file.read_bytes()
    try:
        yield
    except BaseException:
        file.write_bytes(before)
        raise


def _with_access(pulumi: Engine, stack: LocalStack, access: AccessMode | None) -> LocalStack:
    """Write the mode of access control into the stack's file, and teams for it or none, and return the stack."""
    if access is None:
        return stack
    config = _config(stack)
    if access is AccessMode.NONE:
        for key in ("access", "teams", "shares", "quotas"):
            _show(pulumi, "config", "rm", key, *config)
    _show(pulumi, "config", "set", "--path", "access.mode", access, *config)
    if access is AccessMode.ENTRA and not stack.teams:
        for index, team in enumerate(TEAMS):
            _show(pulumi, "config", "set", "--path", f"teams[{index}]", team, *config)
    return LocalStack.read(stack.config_file)


def down(stack: LocalStack) -> int:
    """Stop every process. Data, configuration and state stay."""
    if not ownership.owned(stack.root):
        say(f"There is no local stack in {stack.root}: nothing runs.")
        return ExitCode.DONE
    with exclusive(stack.root, state=stack.backend):
        Supervisor(stack.layout).shutdown()
        remove_all(stack.layout.root)
    say("Stopped. The data is kept: `make up` brings it back, `make destroy` removes it.")
    return ExitCode.DONE


def destroy(stack: LocalStack, *, confirmed: bool) -> int:
    """Remove the stack with its data, and nothing that it did not make.

    Without `confirmed` a person is asked; nobody to ask means no. Raises CommandError for a folder with files of
    somebody else.
    """
    ownership.refuse_foreign(stack.root)
    if not ownership.owned(stack.root):
        say(f"There is no local stack in {stack.root}: nothing was removed.")
        return ExitCode.DONE
    if not confirmed and not _confirm(f"Remove stack {LOCAL} and all runs, models and artifacts in {stack.root}?"):
        say("Nothing was removed.")
        return ExitCode.FAILED
    with exclusive(stack.root, state=stack.backend):
        pulumi = engine(stack)
        select(pulumi, stack)
        step(f"Removing stack {LOCAL} in {stack.root}")
        options = ("--yes", "--skip-preview", "--suppress-permalink=true")
        _follow(pulumi, "Removing it", "destroy", *options, *_config(stack))
        Supervisor(stack.layout).shutdown()
        remove_all(stack.layout.root)
        shutil.rmtree(stack.layout.sockets, ignore_errors=True)
        kept = ownership.remove(stack.root)
    say(f"Stack {LOCAL} and its data are gone.{ownership.left(stack.root, kept)}")
    return ExitCode.DONE


def select(pulumi: Engine, stack: LocalStack) -> None:
    """Make sure that the stack exists in the state."""
    if not state_file(stack.backend, PROJECT, LOCAL).exists():
        # The options name the stack already; `init` takes its name the same way.
        pulumi.must("stack", "init", "--no-select")


def _follow(pulumi: Engine, what: str, command: str, *arguments: str) -> None:
    """Run a long command. A person sees its progress, and its output only if it failed; a pipe gets the output."""
    if not interactive():
        _show(pulumi, command, *arguments)
        return
    with _recorded(command) as ended:
        with progress.shown(what) as event:
            result = pulumi.follow(command, *arguments, event=event)
        kept = result.text.splitlines() if result.code else [line for line in result.text.splitlines() if _warns(line)]
        for line in kept:
            say(line)
        ended(result.code)


def _warns(line: str) -> bool:
    return line.strip().startswith("warning:")


def _show(pulumi: Engine, command: str, *arguments: str) -> None:
    """Run a command on the terminal. Raises EngineError if it fails or is interrupted."""
    with _recorded(command) as ended:
        ended(pulumi.show(command, *arguments))


@contextmanager
def _recorded(command: str) -> Iterator[Callable[[int], None]]:
    """Yield what takes the engine's exit code. Raises EngineError for a failure and for Ctrl-C."""

    def ended(code: int) -> None:
        if code != 0:
            raise EngineError(f"`pulumi {command}` failed with exit code {code}; the reason is above.")

    try:
        yield ended
    except KeyboardInterrupt:
        raise EngineError(
            "Interrupted; what was done is recorded. Run the same command again to go on.", ExitCode.INTERRUPTED
        ) from None


def _config(stack: LocalStack) -> list[str]:
    return ["--config-file", str(stack.config_file)]


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        say(f"{question} Not asked: there is no terminal. Say `make destroy YES=1` to go ahead.")
        return False
    return asked(question)
