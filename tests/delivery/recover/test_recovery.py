"""Kinds of interruption, each with the real engine and a small program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import must
from delivery.recover import report, state
from delivery.recover.engine import Engine, EngineError, State
from delivery.recover.recovery import Found, Recovered, look, recover
from tests.support.arm import CHECKS, needs_schemas
from tests.support.engine import Program, copied, kill_up, served
from tests.support.once import once

pytestmark = needs_schemas
SOURCE = Path(__file__).with_name("small_program.py").read_text()
SLOW = {"group": "/resourceGroups/[^/]+$", "account": "/storageAccounts/[^/]+$", "vault": "/vaults/[^/]+$"}


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json", checks=CHECKS)


@pytest.fixture
def program(tmp_path: Path, azure: Azure) -> Iterator[Program]:
    with served(azure) as port:
        yield Program.written(tmp_path, SOURCE, port)


@pytest.fixture
def living(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Azure, Engine]]:
    """A copy of the program's stack as its first `up` left it, its Azure, and the engine of its recovery."""
    folder = copied(once(tmp_path_factory, "small-recovered", make), tmp_path)
    azure = Azure(folder / "azure.json", checks=CHECKS)
    with served(azure) as port:
        program = Program.opened(folder, port)
        yield program, azure, engine_of(program)


def make(folder: Path) -> None:
    with served(Azure(folder / "azure.json", checks=CHECKS)) as port:
        must(Program.written(folder, SOURCE, port).up())


@pytest.fixture
def engine(program: Program) -> Engine:
    return engine_of(program)


def engine_of(program: Program, kind: type[Engine] = Engine) -> Engine:
    kept = {"XDG_STATE_HOME": str(program.folder / "kept")}
    return kind(
        stack="test",
        config_file=None,
        environment={**program.environment, **kept},
        repository=program.folder / "project",
    )


def killed(program: Program, azure: Azure, when: Callable[[], bool], *slow: str, operation: str = "create") -> None:
    """An `up` that is killed when Azure has done what is slow, and has not answered."""
    for name in slow:
        azure.inject("slow", operation=operation, matching=SLOW[name])
    kill_up(["up", "--yes", "--skip-preview", "--stack=test"], program.folder / "project", program.environment, when)
    azure.clear_faults()


def of(azure: Azure, kind: str) -> dict[str, Any]:
    """The one resource of a type, nothing where there is none."""
    found = [one for one in azure.resources.values() if one["type"] == f"azure-native:{kind}"]
    assert len(found) <= 1
    return found[0] if found else {}


def account(azure: Azure) -> Mapping[str, Any]:
    inputs: Mapping[str, Any] = of(azure, "storage:StorageAccount").get("inputs", {})
    return inputs


def outcomes(done: Recovered) -> dict[str, str]:
    return {one.operation.name: one.outcome.value for one in done.settled}


def finish(program: Program, azure: Azure) -> Mapping[str, Any]:
    """The next `up` does what is left, the one after it would do nothing, and a destroy leaves nothing.

    Gives the account as the `up` left it.
    """
    up = program.up()
    assert up.code == 0, up.text
    last = dict(account(azure))
    same = program.preview("--refresh", "--expect-no-changes")
    assert same.code == 0, same.text
    gone = program.destroy()
    assert gone.code == 0, gone.text
    assert azure.resources == {}
    return last


class Dies(Engine):
    """A recovery that ends after everything was brought in and before the state is put right."""

    def replace_state(self, _: State) -> None:
        raise EngineError("killed")


def test_what_azure_has_is_imported_and_what_it_has_not_is_left_to_the_next_up(
    program: Program, azure: Azure, engine: Engine
) -> None:
    program.configure(protect="true")
    both = lambda: bool(account(azure) and of(azure, "keyvault:Vault"))  # noqa: E731 - read as a condition
    killed(program, azure, both, "account", "vault")
    # Azure has lost the request.
    del azure.resources[of(azure, "storage:StorageAccount")["id"].lower()]

    found = look(engine)
    assert found.lock is not None
    assert {(one.operation, one.name) for one in found.operations} == {("creating", "account"), ("creating", "vault")}
    with pytest.raises(EngineError, match="killed"):
        recover(engine_of(program, Dies), found)
    # What was brought in is noted as interrupted until all is settled: the second recovery finds it and goes on.
    second = look(engine)
    assert second.lock is None
    done = recover(engine, second)
    assert done.complete
    assert outcomes(done) == {"account": "absent", "vault": "present"}
    assert look(engine).nothing

    vault = next(one for urn, one in state.known(engine.state()).items() if urn.endswith("::vault"))
    assert vault["protect"] is True
    assert [urn.rsplit("::", 1)[1] for urn in vault["dependencies"]] == ["group"]
    program.configure(protect="false")
    finish(program, azure)
    made = [call["type"].rsplit(":", 1)[1] for call in azure.calls() if call["operation"] == "create"]
    assert (made.count("Vault"), made.count("StorageAccount")) == (1, 2)


def test_a_lock_alone_is_taken_off(program: Program, azure: Azure, engine: Engine) -> None:
    locks = program.folder / "state" / ".pulumi" / "locks"
    refusals: list[str] = []
    written = program.folder / "project" / "__main__.py"
    whole = written.read_text()
    # Wants nothing as long as the test looks.
    written.write_text("import time\n\ntime.sleep(300)\n")

    def locked() -> bool:
        if not any(locks.rglob("*.json")):
            return False
        with pytest.raises(EngineError) as refused:
            look(engine)
        refusals.append(str(refused.value))
        return True

    killed(program, azure, locked)
    written.write_text(whole)
    assert "works on it on this machine; nothing was touched" in refusals[0]
    found = look(engine)
    assert found.operations == []
    assert found.lock is not None
    assert "created by" in found.lock
    done = recover(engine, found)
    assert (done.settled, done.backup, done.complete) == ([], None, True)
    assert look(engine).nothing
    assert program.up().code == 0


def test_after_an_interrupted_update_the_state_is_what_azure_has(living: tuple[Program, Azure, Engine]) -> None:
    program, azure, engine = living
    program.configure(owner="research")
    killed(program, azure, lambda: account(azure)["tags"] == {"owner": "research"}, "account", operation="update")
    done = recover(engine, look(engine))
    assert outcomes(done) == {"account": "refreshed"}
    # By the previous state the change was never made, and would stay on Azure when it is undone.
    program.configure(owner="platform")
    assert finish(program, azure)["tags"] == {"owner": "platform"}


@pytest.mark.parametrize("made", [True, False])
def test_an_interrupted_replacement_of_the_same_name_is_decided_again(
    living: tuple[Program, Azure, Engine], made: bool
) -> None:
    program, azure, engine = living
    program.configure(location="northeurope")
    killed(program, azure, lambda: account(azure).get("location") == "northeurope", "account")
    if not made:
        # Its predecessor is gone, and Azure has lost the request for it. By the previous state all would be well.
        del azure.resources[of(azure, "storage:StorageAccount")["id"].lower()]
        program.configure(location="westeurope")
    done = recover(engine, look(engine))
    assert outcomes(done) == {"account": "replaced again"}
    assert look(engine).nothing
    assert finish(program, azure)["location"] == ("northeurope" if made else "westeurope")


def test_a_successor_of_another_name_is_named_until_it_is_deleted(living: tuple[Program, Azure, Engine]) -> None:
    program, azure, engine = living
    program.configure(accountName="stsmall8b4c")
    killed(program, azure, lambda: any(key.endswith("/stsmall8b4c") for key in list(azure.resources)), "account")
    done = recover(engine, look(engine))
    assert not done.complete
    (left,) = done.settled
    assert "az resource delete --ids /subscriptions/" in left.note
    assert "NOT brought back" in report.done_text("test", done)

    del azure.resources[str(left.identifier).lower()]
    again = recover(engine, look(engine))
    assert outcomes(again) == {"account": "absent"}
    assert look(engine).nothing
    finish(program, azure)


def test_the_first_resource_of_a_stack_needs_the_subscription(program: Program, azure: Azure, engine: Engine) -> None:
    killed(program, azure, lambda: bool(azure.resources), "group")
    done = recover(engine, look(engine))
    assert not done.complete
    assert "export ARM_SUBSCRIPTION_ID=" in done.settled[0].note
    reported = replace(engine, environment={**engine.environment, "ARM_SUBSCRIPTION_ID": SUBSCRIPTION})
    assert outcomes(recover(reported, look(reported))) == {"group": "imported"}
    finish(program, azure)


def test_what_no_rule_knows_is_named_until_it_is_in_the_state(living: tuple[Program, Azure, Engine]) -> None:
    program, _, engine = living
    unknown = {"type": "azure-native:cache:Redis", "inputs": {}}

    class Knows(Engine):
        """A state with an interrupted create of another type, which has the URN of something else or of nothing."""

        def state(self) -> State:
            known = super().state()
            urn = next(iter(urns), "urn:pulumi:test::offline::azure-native:cache:Redis::cache")
            known["deployment"]["pending_operations"] = [{"type": "creating", "resource": {"urn": urn, **unknown}}]
            return known

    urns: list[str] = []
    failed = recover(engine_of(program, Knows), Found(lock=None, operations=[]))
    assert outcomes(failed) == {"cache": "failed"}
    assert "no rule tells the ID of type azure-native:cache:Redis" in failed.settled[0].note
    urns += [one for one in state.known(engine.state()) if one.endswith("::vault")]
    assert outcomes(recover(engine_of(program, Knows), Found(lock=None, operations=[]))) == {"vault": "present"}


def test_a_stack_that_there_is_not_is_an_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match="other"):
        look(replace(engine, stack="other"))
