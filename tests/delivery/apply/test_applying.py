"""An approved plan is applied, and no other: by the real engine on one small stack that was brought up once."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from delivery.apply import applying, record
from delivery.apply.applying import private_folder, whoever
from delivery.apply.lease import Lease, leased
from delivery.apply.record import SmokeResult
from delivery.offline_azure.product import PLACEHOLDER_DIGEST
from delivery.outcome import ExitCode
from delivery.pulumi.engine import Result
from delivery.pulumi.installation import search_path
from delivery.recover.engine import Engine
from tests.delivery.apply.stack import STACK, Run, Stack, made, up
from tests.delivery.offline_azure import stub_repository

FIRST = {"owner": "platform", "tier": "one"}
APPROVED = {"owner": "research", "tier": "one"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("apply")
    with made(folder, stub_repository.written(folder)) as stack:
        planned = stack.preview()
        done = stack.up(planned.plan)
        assert (done.code, done.document["result"]) == (ExitCode.DONE, "applied"), done
        yield stack


@pytest.fixture(scope="module")
def approved(stack: Stack) -> Path:
    """The report of a plan that somebody approved; the stack's file asks for it."""
    stack.configure(tags=APPROVED)
    return stack.saved(stack.preview())


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a plan is saved; nothing may be left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def refused(stack: Stack, approved: Path, temporary: Path) -> Iterator[Callable[..., Run]]:
    """Try it, and see that nothing is changed: on Azure, in the state, or in the temporary folder."""
    runs = []

    def attempt(plan: str | None = None, **more: object) -> Run:
        runs.append(up(more.pop("engine", stack.engine), plan or str(approved), **more))  # type: ignore[arg-type]
        return runs[-1]

    writes, state = stack.writes, stack.engine.state()
    yield attempt
    assert runs
    assert all(run.code != ExitCode.DONE for run in runs)
    assert stack.writes == writes
    assert stack.engine.state() == state
    assert list(temporary.iterdir()) == []


def test_another_setting_is_named_with_both_values(stack: Stack, refused: Callable[..., Run]) -> None:
    stack.configure(tags={"tier": "two"})
    run = refused()
    stack.configure(tags=APPROVED)
    found = run.document
    assert (run.code, found["result"], found["reason"]) == (1, "not applied", "the plan changed after its approval")
    assert found["differences"] == [
        "changed: group tags.owner: platform → research, now tags.owner: platform → research; tags.tier: one → two"
    ]
    assert found["cause"].startswith("commit ")
    assert found["next"].startswith("Look at the plan as it is now and have it approved. Run: mlflow-platform preview")


def test_a_fingerprint_alone_stops_it_as_well(stack: Stack, refused: Callable[..., Run]) -> None:
    run = refused(f"{int(json.loads(Path(stack.saved(stack.preview())).read_text())['plan'], 16) ^ 1:016x}")
    assert (run.document["reason"], run.document["differences"]) == ("the plan changed after its approval", [])


EDITED: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "another stack": lambda found: found.update(stack="prod"),
    "another version": lambda found: found.update(version=2),
    "no plan": lambda found: found.pop("plan"),
    "a short plan": lambda found: found.update(plan=found["plan"][:8]),
    "an edited plan": lambda found: found.update(plan=f"{found['plan'][:15]}x"),
    "a list as the plan": lambda found: found.update(plan=[found["plan"]]),
    "a report that was cut": lambda found: found.pop("parts"),
    "parts as a text": lambda found: found.update(parts="all"),
    "no source": lambda found: found.pop("source"),
    "computed offline": lambda found: found["source"].update(offline=True),
}


def test_an_edited_approval_stops_it(approved: Path, refused: Callable[..., Run], tmp_path: Path) -> None:
    """Beside the other plans of this module: whatever a person or a comment has made of the approval."""
    whole = approved.read_text()
    plan = json.loads(whole)["plan"]
    file = tmp_path / "approved.json"
    for name, edit in EDITED.items():
        document = json.loads(whole)
        edit(document)
        file.write_text(json.dumps(document))
        assert refused(str(file)).code == ExitCode.USAGE, name
    for text in (whole[:-1], "", "[]", f"`{plan}`"):
        file.write_text(text)
        assert refused(str(file)).code == ExitCode.USAGE, text
    for given in (plan[:-1], f"{plan}0", plan.upper() + "G", f"{plan}\n", f"dev {plan}", str(tmp_path / "none.json")):
        assert refused(given).code == ExitCode.USAGE, given


def test_other_code_stops_it(stack: Stack, refused: Callable[..., Run]) -> None:
    program = stack.repository / "__main__.py"
    source = program.read_text()
    program.write_text(source.replace('location="westeurope"', 'location="northeurope"'))
    stack.commit()
    run = refused()
    program.write_text("raise ValueError('a program that fails')")
    stack.commit()
    failed = refused()
    program.write_text(source)
    stack.commit()
    assert "location: westeurope → northeurope" in run.document["differences"][0]
    assert failed.document["reason"] == "the plan could not be computed"
    assert failed.document["next"] == "Solve what the engine says, then preview again."


def test_a_checkout_that_differs_from_its_commit_stops_it(stack: Stack, refused: Callable[..., Run]) -> None:
    new = stack.repository / "new.py"
    new.write_text("")
    run = refused()
    new.unlink()
    before = stack.file.read_text()
    stack.file.write_text(f"{before}# by hand\n")
    edited = refused()
    stack.file.write_text(before)
    assert "checkout: got 1 file (new.py) not committed; expected a clean checkout" in run.error
    assert run.document == {
        "version": 1,
        "stack": STACK,
        "result": "not applied",
        "reason": run.error,
        "approved": run.document["approved"],
    }
    assert "stacks/Pulumi.dev.yaml" in edited.error


def other_engine(stack: Stack, folder: Path, version: str) -> Engine:
    """An engine that says of itself that it is another version."""
    program = folder / "pulumi"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = version ] && echo v{version} && exit\nPATH="{search_path()}" exec pulumi "$@"\n'
    )
    program.chmod(0o755)
    path = os.pathsep.join([str(folder), stack.engine.environment["PATH"]])
    return Engine(
        stack=STACK,
        config_file=None,
        environment={**stack.engine.environment, "PATH": path},
        repository=stack.repository,
    )


def test_another_engine_stops_it(stack: Stack, tmp_path: Path, refused: Callable[..., Run], approved: Path) -> None:
    run = refused(engine=other_engine(stack, tmp_path, "3.999.0"))
    assert "engine: got version 3.999.0; expected 3.274.1" in run.error
    written = json.loads(approved.read_text())
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(json.dumps({**written, "source": {**written["source"], "engine": "3.200.0"}}))
    assert refused(str(elsewhere)).document["reason"] == "it was approved with engine 3.200.0, this is 3.274.1"


def test_what_an_interrupted_update_left_stops_it(
    stack: Stack, tmp_path: Path, refused: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stack.engine.state()
    (group,) = [one for one in whole["deployment"]["resources"] if one["type"].startswith("azure-native:")]
    interrupted = {**whole["deployment"], "pending_operations": [{"type": "updating", "resource": group}]}
    # `stack import` takes such operations out.
    monkeypatch.setattr(Engine, "state", lambda _: {**whole, "deployment": interrupted})
    run = refused()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert "got 1 interrupted operation (updating group)" in run.error
    assert run.error.endswith("Run: mlflow-platform recover dev")

    lock = locked_elsewhere(stack)
    locked = refused()
    lock.unlink()
    assert "created by a@elsewhere (pid 1)" in locked.error
    assert locked.error.endswith("Run: mlflow-platform recover dev")


def locked_elsewhere(stack: Stack) -> Path:
    """The lock of an update on another machine, as its engine writes it."""
    locks = stack.product.folder / "state" / ".pulumi" / "locks" / "organization" / stack.product.project / STACK
    lock = locks / "1.json"
    lock.write_text(
        json.dumps({"pid": 1, "username": "a", "hostname": "elsewhere", "timestamp": "2026-11-29T01:00:00Z"})
    )
    return lock


def test_a_preview_beside_an_update_takes_no_lock_and_writes_nothing(stack: Stack) -> None:
    """The engine lets it read the state that the update has written so far, so it must not disturb the update."""

    def kept() -> dict[Path, bytes]:
        files = (path for path in (stack.product.folder / "state").rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in files} | {Path(): json.dumps(stack.writes).encode()}

    lock = locked_elsewhere(stack)
    before = kept()
    assert lock in before
    assert stack.preview().plan
    assert kept() == before
    lock.unlink()


def test_drift_that_a_check_finds_stops_it(refused: Callable[..., Run]) -> None:
    run = refused(drift=lambda engine: [f"{engine.stack}: store-account publicNetworkAccess Disabled → Enabled"])
    assert "publicNetworkAccess Disabled → Enabled" in run.error


def test_another_command_on_the_stack_stops_it(stack: Stack, refused: Callable[..., Run]) -> None:
    backend = f"file://{stack.product.folder / 'state'}"
    with leased(backend, stack.product.project, STACK, holder="bob@there, pid 7, since ten"):
        run = refused()
    assert run.code == ExitCode.BUSY
    assert run.error.startswith("Another command works on stack dev (bob@there, pid 7, since ten).")


def test_a_lease_that_is_lost_during_the_preview_stops_it(
    refused: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, run = threading.Event(), Engine.run

    @contextmanager
    def lost_later(*arguments: Any, **more: Any) -> Iterator[Lease]:
        with leased(*arguments, **more):
            yield Lease(lost=lost.is_set)

    def losing(self: Engine, *arguments: str) -> Result:
        done = run(self, *arguments)
        if arguments[0] == "preview":
            lost.set()
        return done

    monkeypatch.setattr(applying, "leased", lost_later)
    monkeypatch.setattr(Engine, "run", losing)
    assert "lease: the state's account did not renew it in time" in refused().error
    assert lost.is_set()


def test_a_plan_that_the_engine_will_refuse_is_not_tried(stack: Stack) -> None:
    program = stack.repository / "__main__.py"
    source = program.read_text()
    assert stack.product.run("state", "protect", "--all", "--yes").code == 0
    program.write_text("")
    stack.commit()
    writes = stack.writes
    run = stack.up(stack.preview().plan)
    program.write_text(source)
    stack.commit()
    assert stack.product.run("state", "unprotect", "--all", "--yes").code == 0
    assert run.document["reason"].startswith("its report refuses it: ")
    assert "1 protected resource in the way" in run.document["reason"]
    assert stack.writes == writes


def test_an_approved_plan_is_applied_and_recorded_once(stack: Stack, approved: Path, temporary: Path) -> None:
    plan = json.loads(approved.read_text())["plan"]
    run = stack.up(str(approved))
    assert run.code == ExitCode.DONE, run
    assert list(temporary.iterdir()) == []
    (group,) = stack.azure.resources.values()
    assert group["inputs"]["tags"] == APPROVED
    assert run.document["smoke"] == {
        "result": "not run",
        "reason": "the stack has no output url: no service runs yet",
    }
    applied = record.last(stack.engine.pulumi)
    assert applied is not None
    assert applied.record == record.Record(
        stack=STACK,
        plan=plan,
        commit=stack.git("rev-parse", "HEAD"),
        image=PLACEHOLDER_DIGEST,
        engine="3.274.1",
        who=whoever(stack.engine.environment),
    )
    assert applied.newest
    assert applied.smoke == record.Smoke(result=SmokeResult.NOT_RUN, reason=run.document["smoke"]["reason"])

    writes = stack.writes
    again = stack.up(str(approved), smoke=False)
    assert (again.code, again.document["smoke"]["reason"]) == (ExitCode.DONE, "--no-smoke")
    assert (again.document["record"]["plan"], stack.writes) == (plan, writes)

    # After somebody's `pulumi up` by hand the approval is used up; what was applied last is known all the same.
    assert stack.product.up().code == 0
    after = record.last(stack.engine.pulumi)
    assert after is not None
    assert (after.record, after.newest) == (applied.record, False)
    later = stack.up(str(approved))
    assert later.document["differences"] == ["gone: group tags.owner: platform → research"]
    assert later.document["cause"].startswith(f"the approved plan was applied {applied.ended}, by ")
    assert stack.writes == writes


def test_a_deletion_that_a_failed_update_left_has_to_be_approved(stack: Stack) -> None:
    stack.configure(tags={"owner": "operations"})
    before = stack.saved(stack.preview())
    state = stack.engine.state()
    (group,) = [one for one in state["deployment"]["resources"] if one["type"].startswith("azure-native:")]
    state["deployment"]["resources"].append({**group, "id": f"{group['id']}-left", "delete": True})
    stack.engine.replace_state(state)

    writes = stack.writes
    refused = stack.up(str(before))
    (difference,) = refused.document["differences"]
    assert difference.endswith("→ operations; pending delete")
    assert stack.writes == writes
    left = stack.preview()
    assert left.counts == {"update": 1, "pending delete": 1}
    assert stack.up(left.plan).code == ExitCode.DONE
    assert [call["operation"] for call in stack.writes[len(writes) :]] in (["update", "delete"], ["delete", "update"])
    assert stack.preview().counts == {}


def test_folders_of_killed_runs_are_removed_by_the_next_one(temporary: Path) -> None:
    with private_folder("a state") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        left, other = folder.with_name(f"{folder.name}x"), temporary / "mlflow-platform-plan-of-another"
    for path in (left, other):
        path.mkdir()
        (path / "plan.json").write_text("{}")
    with private_folder("a state"):
        assert (left.exists(), other.exists()) == (False, True)
