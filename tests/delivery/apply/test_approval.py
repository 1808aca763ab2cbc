"""What counts as an approved plan, and in which words another plan differs from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.apply import approval, record
from delivery.apply.approval import Approval
from delivery.apply.difference import cause, differences, listed
from delivery.outcome import CommandError, ExitCode
from delivery.preview.document import document
from delivery.preview.plan import read
from delivery.preview.report import Report, Source, report
from delivery.preview.saved import save
from delivery.preview.text import plain
from tests.support.previews import preview, same, step

GROUP, ACCOUNT = "resources:ResourceGroup", "storage:StorageAccount"
PLAN = "0123456789abcdef"


def planned(*steps: Any, engine: str = "3.274.1", head: str = "abc") -> Report:
    return report(read(preview(*steps)), Source(head=head, engine=engine))


def tags(name: str, owner: str) -> Any:
    return step("update", GROUP, name, {"tags": {"owner": "a"}}, {"tags": {"owner": owner}})


APPROVED = planned(same(ACCOUNT, "store"), tags("one", "b"), tags("two", "b"))


def of(found: Report, tmp_path: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> Approval:
    written = document(found)
    change(written)
    file = tmp_path / "approved.json"
    file.write_text(json.dumps(written))
    return approval.read(str(file), "prod")


@pytest.mark.parametrize(
    "given",
    ["", PLAN[:-1], f"{PLAN}0", PLAN.upper(), f" {PLAN}", f"{PLAN}\n", "plan", "0x23456789abcdef", "no/such/file.json"],
)
def test_only_the_whole_fingerprint_is_one(given: str) -> None:
    with pytest.raises(CommandError, match=r"expected the plan's 16 .*Run: mlflow-platform preview prod$") as refused:
        approval.read(given, "prod")
    assert refused.value.code == ExitCode.USAGE
    assert approval.read(PLAN, "prod") == Approval(plan=PLAN)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda found: found.update(version=2), "no report of version 1"),
        (lambda found: found.update(stack="dev"), "a report of stack 'dev'"),
        (lambda found: found.update(plan=None), "a report without a plan"),
        (lambda found: found.update(plan=found["plan"][:8]), "a report without a plan"),
        (lambda found: found.pop("parts"), "a report that was cut"),
        (lambda found: found["source"].update(offline=True), "computed offline"),
    ],
)
def test_a_file_has_a_whole_report_of_this_stack(change: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=why):
        of(APPROVED, tmp_path, change)
    assert of(APPROVED, tmp_path).plan == APPROVED.plan


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "no report"), ("\xff\xfe", "not JSON")])
def test_another_file_is_no_report(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "approved.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(CommandError, match=why):
        approval.read(str(file), "prod")


def test_a_saved_plan_says_as_much_as_its_report(tmp_path: Path) -> None:
    printed = preview(same(ACCOUNT, "store"), tags("one", "b"), tags("two", "b"))
    file = tmp_path / "plan.json"
    save(file, "prod", printed, "", Source(head="abc", engine="3.274.1"))
    assert approval.read(str(file), "prod") == of(APPROVED, tmp_path)
    with pytest.raises(CommandError, match="a report of stack 'prod'"):
        approval.read(str(file), "dev")
    save(file, "prod", printed, "", Source(offline=True))
    with pytest.raises(CommandError, match="computed offline"):
        approval.read(str(file), "prod")
    save(file, "prod", None, "no login", Source())
    with pytest.raises(CommandError, match="a report without a plan"):
        approval.read(str(file), "prod")
    file.write_text('{"version": 1, "stack": "prod", "preview": 7}')
    with pytest.raises(CommandError, match=r"no saved plan: .*no preview of the engine"):
        approval.read(str(file), "prod")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "approved.json"
    with file.open("wb") as made:
        made.truncate(approval.LARGEST_MIB * 1024**2 + 1)
    with pytest.raises(CommandError, match="more than 16 MiB"):
        approval.read(str(file), "prod")


def test_each_difference_has_its_resource_and_both_changes(tmp_path: Path) -> None:
    now = planned(
        step("update", ACCOUNT, "store", {"publicNetworkAccess": "Enabled"}, {"publicNetworkAccess": "Disabled"}),
        tags("two", "c"),
        step("create", GROUP, "three", None, {"tags": {}}),
    )
    found = differences(of(APPROVED, tmp_path), now)
    assert [plain(one.what) for one in found] == [
        "gone: one tags.owner: a → b",
        "added: store publicNetworkAccess: Enabled → Disabled",
        "added: three create resources:ResourceGroup",
        "changed: two tags.owner: a → b, now tags.owner: a → c",
    ]
    assert [plain(one) for one in listed(found, 2)][-1] == "and 2 more"
    assert differences(of(APPROVED, tmp_path), APPROVED) == []
    assert differences(Approval(plan=PLAN), now) == []


def test_a_value_that_no_report_shows_is_a_difference_too(tmp_path: Path) -> None:
    first, second = (planned(step("create", GROUP, "one", None, {"location": place})) for place in ("a", "b"))
    assert [plain(one.what) for one in differences(of(first, tmp_path), second)] == [
        "changed: one create resources:ResourceGroup, with other values"
    ]


def test_the_cause_is_said_as_far_as_it_is_known(tmp_path: Path) -> None:
    approved = of(APPROVED, tmp_path)
    assert plain(cause(approved, head="abc", engine="3.275.0", applied="")) == "engine 3.274.1, now 3.275.0"
    assert plain(cause(approved, head="def", engine="3.275.0", applied="")).endswith(", commit abc, now def")
    assert plain(cause(approved, head="abc", engine="3.274.1", applied="")).startswith("the same commit: the stack's")
    assert plain(cause(approved, head="x", engine="y", applied="at ten")) == "the approved plan was applied at ten"
    assert plain(cause(Approval(plan=PLAN), head="x", engine="y", applied="")) == "unknown"


def test_a_record_is_read_back_and_other_messages_are_not() -> None:
    made = record.Record(stack="prod", plan=PLAN, commit="c" * 40, image="sha256:1", engine="3.274.1", who="a@b")
    assert record.parse(made.message()) == made
    assert "\n" not in made.message()
    for other in ("", "by hand", "[]", '{"mlflow-platform": 2}', '{"mlflow-platform": 1, "stack": "prod"}', None):
        assert record.parse(other) is None
