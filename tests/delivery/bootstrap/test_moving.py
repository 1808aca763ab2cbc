"""The bootstrap stack's way into its account, killed at every step and continued.

The stack is a small one, Azure is the offline one, and a second file backend stands for the account with a passphrase
for the vault's key: neither speaks to this machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.bootstrap.moving import Bootstrapped, Move, Step
from delivery.bootstrap.places import Here, Target, There, keeps_secrets, movable, resources
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import engine_environment
from delivery.outcome import CommandError
from delivery.pulumi.engine import Engine, EngineError
from delivery.pulumi.lock import clear_dead
from tests.support import warm
from tests.support.engine import served
from tests.support.waiting import until

SOURCE = """
import pulumi
from pulumi_azure_native import resources, storage

group = resources.ResourceGroup("group", resource_group_name="rg", location="westeurope")
account = storage.StorageAccount(
    "account", account_name="stone", resource_group_name=group.name, location="westeurope",
    kind="StorageV2", sku={"name": "Standard_LRS"},
)
pulumi.export("state_account", account.name)
pulumi.export("key_vault", "kv")
"""
STEPS = [
    "make the stack in a folder here",
    "bring it up",
    "make the stack in its account",
    "move the state",
    "preview without a change",
    "remove the state here",
]
# Where a run is killed: before each command of the engine, by the words that tell it apart.
KILLED_BEFORE = (
    ("stack", "init", "here"),
    ("up",),
    ("stack", "output"),
    ("stack", "ls"),
    ("stack", "init", "there"),
    ("stack", "import"),
    ("preview",),
)
LINES = """
import sys
from pathlib import Path
from tests.delivery.bootstrap.test_moving import moving
folder, port = Path(sys.argv[1]), int(sys.argv[2])
list(moving(folder, port).run())
"""


class Killed(BaseException):
    """What no step of a run catches: the state on the disk is all that a kill leaves, too."""


def moving(folder: Path, port: int) -> Move:
    repository = folder / "repository"
    if not repository.exists():
        (repository / "stacks").mkdir(parents=True)
        project = {"name": "small", "runtime": "python", "stackConfigDir": "stacks"}
        (repository / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        (repository / "__main__.py").write_text(SOURCE)
        (repository / "stacks" / "Pulumi.first.yaml").write_text("config: {}\n")
        (folder / "account").mkdir()
    environment = engine_environment(folder, port)
    here = Here(folder=folder / "here", stack="first", repository=repository, environment=environment)
    target = Target(backend=f"file://{folder / 'account'}", secrets_provider="passphrase")
    # A command does this when it takes its lock.
    clear_dead(here.state)
    return Move(here=here, up=lambda at: at.pulumi.must("up", "--yes", "--skip-preview") and None, target=target)


def there(move: Move) -> There:
    assert move.target is not None
    here = move.here
    return There(target=move.target, stack=here.stack, repository=here.repository, environment=here.environment)


def ended(move: Move) -> None:
    """All is in the account, nothing is left here, and it is said so again."""
    arrived = there(move).engine.state()
    assert {urn.rsplit("::", 1)[1] for urn in resources(arrived)} >= {"group", "account"}
    assert keeps_secrets(move.here.repository / "stacks" / "Pulumi.first.yaml").startswith("encryptionsalt: v1:")
    assert not move.here.state.exists()
    assert not move.here.config_file.exists()
    assert move.finished() == Bootstrapped(
        target=there(move).target, outputs={"state_account": "stone", "key_vault": "kv"}
    )
    assert [*move.run()] == [Step(name="remove the state here", needed=False)]


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json")


@pytest.fixture
def port(azure: Azure) -> Iterator[int]:
    with served(azure) as found:
        yield found


def killing(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill a run before the first command of the engine with these words; the last may be the place, here or there."""
    original = Engine.run

    def run(self: Engine, *arguments: str, **more: Any) -> Any:
        place = "there" if self.environment["PULUMI_BACKEND_URL"].endswith("/account") else "here"
        if {*words} <= {*arguments, place}:
            raise Killed
        return original(self, *arguments, **more)

    monkeypatch.setattr(Engine, "run", run)


@pytest.mark.timeout(900)
def test_a_run_that_is_killed_before_each_command_is_continued(
    tmp_path: Path, azure: Azure, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in KILLED_BEFORE:
        with monkeypatch.context() as patched:
            killing(words, patched)
            with pytest.raises(Killed):
                list(moving(tmp_path, port).run())
        if "import" in words:
            _leave_a_lock(tmp_path / "account")
    # The last of them: killed in the middle of removing.
    move = moving(tmp_path, port)
    for step in move.run():
        if step.name == "preview without a change":
            break
    move = moving(tmp_path, port)
    steps = list(move.run())
    assert [step.name for step in steps] == STEPS
    assert {step.name for step in steps if step.needed} == {"bring it up", STEPS[4], STEPS[5]}
    ended(move)
    created = [call["id"] for call in azure.calls() if call["operation"] == "create"]
    assert len(created) == len(set(created)) == 2


def _leave_a_lock(backend: Path) -> None:
    """As an import does that is killed."""
    lock = backend / ".pulumi/locks/organization/small/first/7b9fd2f2-4f4c-4e4f-9d2b-2f2b2f2b2f2b.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(
        json.dumps({"pid": 2**22 + 1, "username": "a", "hostname": "b", "timestamp": "2026-01-01T00:00:00Z"})
    )


@pytest.mark.timeout(900)
def test_an_up_that_is_killed_with_its_engine_is_recovered(tmp_path: Path, azure: Azure, port: int) -> None:
    azure.inject("slow", operation="create", matching="/storageAccounts/", seconds=60)
    child = subprocess.Popen(
        [sys.executable, "-c", LINES, str(tmp_path), str(port)], env=os.environ | warm.COLD, start_new_session=True
    )
    try:
        until(lambda: any("/storageaccounts/" in key for key in azure.resources), "the account on Azure", 120)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    azure.clear_faults()
    move = moving(tmp_path, port)
    assert [step.name for step in move.run()] == STEPS
    ended(move)


def test_the_account_has_another_state(tmp_path: Path, port: int) -> None:
    move = moving(tmp_path, port)
    move.here.prepare()
    place = there(move)
    place.make()
    stack = place.engine.state()
    urn = "urn:pulumi:first::small::pulumi:pulumi:Stack::small-first"
    other = {"urn": f"{urn}x", "custom": True, "id": "other", "type": "azure-native:resources:ResourceGroup"}
    with pytest.raises(CommandError, match=r"got a state with other resources .* Nothing was moved"):
        _moved(move, place, {**stack, "deployment": {**stack["deployment"], "resources": [other]}})


def _moved(move: Move, place: There, arrived: dict[str, Any]) -> None:
    class Other(There):
        @property
        def engine(self) -> Any:
            class Read:
                stack = "first"

                def state(self) -> Any:
                    return arrived

                def lock(self) -> None:
                    return None

            return Read()

    move._move(Other(**{name: getattr(place, name) for name in ("target", "stack", "repository", "environment")}))


def test_azure_takes_its_time_with_a_new_role(tmp_path: Path) -> None:
    slept: list[float] = []
    answers = iter([EngineError("AuthorizationPermissionMismatch"), EngineError("ForbiddenByRbac"), None])

    def act() -> str:
        if error := next(answers):
            raise error
        return "done"

    move = Move(here=_nowhere(tmp_path), up=lambda _: None, sleep=slept.append)
    assert move._patiently(act) == "done"
    assert slept == [20, 20]

    def other() -> None:
        raise EngineError("no such host")

    with pytest.raises(EngineError):
        move._patiently(other)
    assert slept == [20, 20]


def test_a_stack_that_was_bootstrapped_elsewhere_is_not_made_again(tmp_path: Path) -> None:
    here = _nowhere(tmp_path)
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (tmp_path / "stacks" / "Pulumi.first.yaml").write_text("secretsprovider: azurekeyvault://kv\n")
    with pytest.raises(
        CommandError, match=r"got `secretsprovider: azurekeyvault://kv` and no state .* bootstrapped before"
    ):
        list(Move(here=here, up=lambda _: None).run())


def _nowhere(folder: Path) -> Here:
    return Here(folder=folder / "here", stack="first", repository=folder, environment={})


def test_the_target_is_what_the_stack_makes() -> None:
    found = Target.of({"state_account": "stone", "key_vault": "kv-one"}, "first")
    assert found.backend == "azblob://pulumi-first?storage_account=stone"
    assert found.secrets_provider == "azurekeyvault://kv-one.vault.azure.net/keys/pulumi-first"


def test_a_state_with_a_secret_is_not_moved() -> None:
    state: dict[str, Any] = {"version": 3, "deployment": {"secrets_providers": {"type": "passphrase"}, "resources": []}}
    assert movable(state) == {"version": 3, "deployment": {"resources": []}}
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1"}
    state["deployment"]["resources"] = [{"urn": "u", "outputs": {"a": secret}}]
    with pytest.raises(CommandError, match="holds a secret value"):
        movable(state)
