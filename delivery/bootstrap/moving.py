"""From an empty subscription to a bootstrap stack that keeps its state in the account that it has made.

Each step looks first whether it was done, so a run that was killed anywhere is continued by the next one. The state
here is removed last, after a preview in the account has shown that nothing would change.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from delivery.bootstrap.places import Here, Target, There, keeps_secrets, movable, resources
from delivery.outcome import CommandError
from delivery.pulumi.engine import EngineError
from delivery.recover.recovery import look, recover

_RIGHT_SECONDS: Final = 900
_AGAIN_SECONDS: Final = 20
# What the account and the vault answer to somebody whose role is too new.
_NOT_YET: Final = ("AuthorizationPermissionMismatch", "AuthorizationFailure", "ForbiddenByRbac", "status code 403")

_T = TypeVar("_T")


class Up(Protocol):
    """Runs the engine's `up` on the stack here to its end."""

    def __call__(self, here: Here) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step and what became of it: `needed` is False where a run before had done it."""

    name: str
    needed: bool


@dataclass(frozen=True, kw_only=True)
class Bootstrapped:
    """Where the stack is now, and its outputs, as far as this machine knows."""

    target: Target
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Move:
    """One run. `target` is where the state goes, by default the account and the key that the stack makes."""

    here: Here
    up: Up
    target: Target | None = None
    sleep: Callable[[float], None] = time.sleep

    @property
    def _done(self) -> Path:
        return self.here.folder / "done.json"

    def finished(self) -> Bootstrapped | None:
        """What an earlier run of this machine has finished."""
        if not self._done.is_file():
            return None
        found = json.loads(self._done.read_text())
        return Bootstrapped(target=Target(**found["target"]), outputs=found["outputs"])

    def run(self) -> Iterator[Step]:
        """Do what is left, and yield each step when it is done. Raises CommandError."""
        if self.finished():
            yield Step(name="remove the state here", needed=self._remove())
            return
        self._refuse_what_was_made_elsewhere()
        there_was = self.here.exists
        self.here.prepare()
        yield Step(name="make the stack in a folder here", needed=not there_was)
        found = look(self.here.engine)
        if not found.nothing and not recover(self.here.engine, found).complete:
            raise CommandError(
                "A killed `up` has left what could not be brought back. Read what `mlflow-platform recover` says, and "
                "run the command again."
            )
        self.up(self.here)
        yield Step(name="bring it up", needed=True)
        outputs = self.here.outputs()
        target = self.target or Target.of(outputs, self.here.stack)
        there = There(
            target=target,
            stack=self.here.stack,
            repository=self.here.repository,
            environment=self.here.environment,
        )
        yield Step(name="make the stack in its account", needed=self._patiently(lambda: self._make(there)))
        yield Step(name="move the state", needed=self._patiently(lambda: self._move(there)))
        self._check(there)
        yield Step(name="preview without a change", needed=True)
        partial = self._done.with_suffix(".partial")
        partial.write_text(json.dumps({"target": target.__dict__, "outputs": outputs}))
        partial.replace(self._done)
        yield Step(name="remove the state here", needed=self._remove())

    def _refuse_what_was_made_elsewhere(self) -> None:
        file = self.here.repository / "stacks" / self.here.config_file.name
        if not self.here.exists and (kept := keeps_secrets(file)):
            raise CommandError(
                f"{file.name}: got `{kept}` and no state in {self.here.state}; the stack was "
                f"bootstrapped before. Run `pulumi login` for its account and `pulumi preview -s {self.here.stack}`. "
                "To make another one, remove secretsprovider, encryptedkey and encryptionsalt first."
            )

    def _make(self, there: There) -> bool:
        file = there.repository / "stacks" / self.here.config_file.name
        if there.exists and keeps_secrets(file):
            return False
        if there.exists:
            # Killed between the stack and its file: it is empty, as the key for its secrets is in the file alone.
            there.pulumi.must("stack", "rm", there.stack, "--yes")
        there.make()
        return True

    def _move(self, there: There) -> bool:
        # A killed import leaves its lock.
        if (found := look(there.engine)).lock is not None:
            there.engine.unlock()
        here, arrived = self.here.engine.state(), there.engine.state()
        if resources(arrived) == resources(here) and not found.operations:
            return False
        if set(resources(arrived).values()) - {""}:
            raise CommandError(
                f"{there.target.backend}: got a state with other resources than those in {self.here.state}; expected "
                "none. Nothing was moved. Somebody else has bootstrapped: compare the two with `pulumi stack export`, "
                "and keep one."
            )
        there.engine.replace_state(movable(here))
        return True

    def _check(self, there: There) -> None:
        result = there.pulumi.run("preview", "--expect-no-changes", "--stack", there.stack)
        if result.code != 0:
            raise CommandError(
                f"The state is in {there.target.backend}, and a preview there fails or shows changes. The copy in "
                f"{self.here.state} stays. Solve what it says, and run the command again.\n{result.text.strip()}"
            )

    def _remove(self) -> bool:
        left = [folder for folder in (self.here.state, self.here.config_file.parent) if folder.exists()]
        for folder in left:
            shutil.rmtree(folder)
        return bool(left)

    def _patiently(self, act: Callable[[], _T]) -> _T:
        """Azure takes minutes to honour a role that the `up` has just assigned."""
        for _ in range(_RIGHT_SECONDS // _AGAIN_SECONDS):
            try:
                return act()
            except EngineError as error:
                if not any(text in str(error) for text in _NOT_YET):
                    raise
                self.sleep(_AGAIN_SECONDS)
        return act()
