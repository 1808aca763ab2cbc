"""Drift beside the plan of a change: a run of its own, and a section that is no part of the plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from delivery.drift.beside import MOST, beside
from delivery.preview import command
from delivery.preview.document import document
from delivery.preview.markdown import LONGEST_COMMENT, Form, markdown
from delivery.preview.plan import FLAGS, Plan, PlanError, read
from delivery.preview.report import ROWS, Report, Source, report
from delivery.preview.saved import load, save
from delivery.preview.text import plain
from delivery.pull_request.comment import comment
from delivery.pulumi.engine import Result
from delivery.repository import Repository
from tests.delivery.preview.test_forms import HOSTILE, printed
from tests.support.previews import STACK, preview, same, step

ACCOUNT, APP = "storage:StorageAccount", "app:ContainerApp"
CHANGE = preview(same(ACCOUNT, "store-account"), step("update", APP, "tracking", {"a": "1"}, {"a": "2"}))
OPENED = step(
    "update", ACCOUNT, "store-account", {"publicNetworkAccess": "Disabled"}, {"publicNetworkAccess": "Enabled"}
)
SCALED = step("update", APP, "tracking", {"replicas": 2}, {"replicas": 9})
DRIFT = preview(OPENED, SCALED)


def reported(refresh: dict[str, Any] | None = DRIFT, error: str = "") -> Report:
    plan = read(CHANGE)
    return report(plan, Source(head="abc"), beside({"refresh": refresh, "error": error}, plan))


def test_each_resource_is_a_line_and_what_updates_wait_for_comes_first() -> None:
    found = reported().beside
    assert found is not None
    assert [plain(line) for line in found.lines] == [
        "store-account publicNetworkAccess: Disabled → Enabled: reduces protection",
        "tracking replicas: 2 → 9 (this change is of it too)",
    ]
    assert found.blocking == ["store-account"]


def test_it_is_no_part_of_the_plan() -> None:
    alone, found = report(read(CHANGE), Source(head="abc")), reported()
    assert (found.plan, found.verdict, found.reasons, found.changes) == (
        alone.plan,
        alone.verdict,
        alone.reasons,
        alone.changes,
    )
    assert document(alone)["beside"] is None
    assert document(found)["beside"]["blocking"] == ["store-account"]
    untouched = report(read(CHANGE), Source(head="abc"), beside({"refresh": preview(), "error": ""}, read(CHANGE)))
    words = "Drift on Azure was looked for with this plan, and there is none"
    assert words in markdown(untouched)
    assert words not in markdown(alone) + markdown(found)
    assert (untouched.plan, untouched.verdict) == (alone.plan, alone.verdict)


def test_each_form_names_it_and_what_to_do() -> None:
    found = reported()
    comment_, section = markdown(found), comment([found])
    for text in (comment_, section, markdown(found, Form.SUMMARY), markdown(found, Form.AZURE_DEVOPS)):
        assert (
            "**Not from this change: 2 resources differ on Azure.** Updates wait until somebody has decided on "
            f"`store-account`. Both ways out: `mlflow-platform drift {STACK}`" in text
        )
        assert "- `store-account` `publicNetworkAccess`: `Disabled` → `Enabled`: **reduces protection**" in text
    screen = printed(found)
    assert "Not from this change: 2 resources differ on Azure." in screen
    assert screen.index("tracking replicas: 2 → 9") < screen.index("plan ")


def test_where_nobody_could_look_the_report_says_so() -> None:
    found = reported(None, "drift: the engine could not look at stack prod.\nno right")
    assert "**Drift is not known:** `drift: the engine could not look at stack prod. no right`" in markdown(found)
    failed = reported(preview(errors=["no right to read"]))
    assert "**Drift is not known:** `no right to read`" in markdown(failed)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_of_azure_is_shown_as_text(value: str) -> None:
    steps = [
        step("update", ACCOUNT, f"{value}{n}", {f"a{m}": value for m in range(20)}, {value: value}) for n in range(20)
    ]
    found = reported(preview(*steps))
    text = markdown(found)
    assert len(text) < LONGEST_COMMENT
    outside = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<script" not in outside
    assert "<a " not in outside
    assert "<img" not in outside
    assert found.beside is not None
    assert plain(found.beside.shown[-1]) == f"and {20 - ROWS} more"
    assert all(plain(line).count("; ") <= MOST for line in found.beside.shown)
    assert "\x1b" not in printed(found)


def test_a_plan_hands_it_over_as_data(tmp_path: Path) -> None:
    file = tmp_path / "prod.json"
    save(file, STACK, CHANGE, "", Source(head="abc"), {"refresh": DRIFT, "error": ""})
    plan, source, found, _ = load(file)
    assert report(plan, source, found) == reported()
    save(file, STACK, CHANGE, "", Source())
    assert load(file)[2] is None


def test_a_file_without_secrets_still_shows_that_one_has_changed(tmp_path: Path) -> None:
    was, now = (
        {"url": f"https://u:{word}@h", "clientSecret": word, "callback": "https://u:third@h"} for word in ("one", "two")
    )
    save(
        tmp_path / "prod.json",
        STACK,
        CHANGE,
        "",
        Source(),
        {"refresh": preview(step("update", APP, "tracking", was, now))},
    )
    assert not any(word in (tmp_path / "prod.json").read_text() for word in ("u:one", "u:two", '"two"', "third"))
    found = load(tmp_path / "prod.json")[2]
    assert found is not None
    assert [plain(line) for line in found.lines] == [
        "tracking clientSecret: [secret] → [secret]; url: https://u:[secret 1]@h → https://u:[secret 3]@h "
        "(this change is of it too)"
    ]


@pytest.mark.parametrize(
    "drift",
    [
        [],
        "x",
        {"refresh": []},
        {"refresh": {"steps": [{"urn": 1}]}},
        {"refresh": json.loads(json.dumps(DRIFT).replace(f":{STACK}::", ":dev::"))},
    ],
    ids=["list", "text", "steps", "step", "stack"],
)
def test_other_data_is_refused(tmp_path: Path, drift: Any) -> None:
    save(tmp_path / "prod.json", STACK, CHANGE, "", Source(), drift)
    with pytest.raises(PlanError, match=r"^prod\.json: "):
        load(tmp_path / "prod.json")


class Asked:
    """An engine that prints what a test says, and remembers its commands."""

    def __init__(self, previewed: Result, refreshed: Result) -> None:
        self.answers = {"preview": previewed, "refresh": refreshed, "version": _printed("v3.274.1")}
        self.commands: list[tuple[str, ...]] = []

    def run(self, *arguments: str) -> Result:
        self.commands.append(arguments)
        return self.answers[arguments[0]]


def _printed(text: str, code: int = 0) -> Result:
    return Result(code=code, out=text, text=text)


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(command, "version", lambda _: "3.274.1")
    monkeypatch.setattr(Repository, "head", lambda _: "abc1234")

    def shown(engine: Asked, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(command, "users_engine", lambda *_: engine)
        written = command.Written(form=command.Form.JSON)
        command.show("prod", written, offline=False, **options)
        found: dict[str, Any] = json.loads(capfd.readouterr().out)
        return found

    return shown


def test_a_preview_looks_in_a_run_of_its_own(show: Callable[..., dict[str, Any]]) -> None:
    engine = Asked(_printed(json.dumps(CHANGE)), _printed(json.dumps(DRIFT)))
    assert show(engine)["beside"]["blocking"] == ["store-account"]
    assert engine.commands == [("preview", *FLAGS), ("refresh", "--preview-only", "--json")]
    engine.commands.clear()
    assert show(engine, drift=False)["beside"] is None
    assert [first for first, *_ in engine.commands] == ["preview"]


def test_a_look_that_fails_fails_no_report(show: Callable[..., dict[str, Any]]) -> None:
    engine = Asked(_printed(json.dumps(CHANGE)), _printed("error: AuthorizationFailed", 255))
    found = show(engine)
    assert found["verdict"] == "routine"
    assert "AuthorizationFailed" in found["beside"]["error"]


def test_without_a_plan_nobody_looks(show: Callable[..., dict[str, Any]]) -> None:
    engine = Asked(_printed("error: no login", 255), _printed("{}"))
    assert show(engine)["verdict"] == "not computed"
    assert len(engine.commands) == 1


def test_a_plan_of_another_shape_is_no_drift() -> None:
    plan = Plan(stack="prod", steps=())
    assert beside({}, plan).error == "the engine said nothing"
