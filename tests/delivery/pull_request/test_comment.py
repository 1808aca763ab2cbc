"""The comment for all stacks of a pull request, made from files that nobody trusts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from delivery.outcome import CommandError, ExitCode
from delivery.preview.markdown import LONGEST_COMMENT
from delivery.preview.plan import PlanError
from delivery.preview.report import Source
from delivery.preview.saved import LARGEST, load, save
from delivery.pull_request import command
from delivery.pull_request.comment import MARKER
from tests.delivery.preview.test_forms import HOSTILE
from tests.support.previews import STACK, preview, same, step

ACCOUNT, SERVER = "storage:StorageAccount", "dbforpostgresql:Server"


def plan(folder: Path, stack: str, *steps: dict[str, Any], errors: tuple[str, ...] = ()) -> None:
    printed = json.loads(json.dumps(preview(*steps, errors=errors)).replace(f":{STACK}::", f":{stack}::"))
    save(folder / f"{stack}.json", stack, printed, "", Source(head="abc1234", against="main", offline=True))


def commented(folder: Path, capfd: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    code = command.report(folder, **{"pull_request": 0, "head": "", "issues": False, **options})
    return code, capfd.readouterr().out


def test_the_worst_stack_comes_first_and_one_without_a_change_has_no_section(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan(tmp_path, "dev", step("update", ACCOUNT, "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}))
    plan(tmp_path, "prod", step("delete", SERVER, "server", {"serverName": "s"}, protect=(True, True)))
    plan(tmp_path, "staging", same(ACCOUNT, "store"))
    code, text = commented(tmp_path, capfd, head="abc1234")
    assert code == ExitCode.FAILED
    assert text.splitlines()[:2] == [MARKER, "### Deployment preview: `prod` refused"]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)[:3]
    assert [row[0] for row in rows] == ["prod", "dev", "staging"]
    assert rows[0][1] == "refused: would delete database, 1 protected resource in the way"
    assert rows[2][1:] == ("no change", "")
    assert re.findall(r"<summary><b>(\w+)</b>", text) == ["prod", "dev"]
    assert text.count("<details open>") == 1
    assert "Head `abc1234` · against `main` · computed offline" in text
    assert commented(tmp_path, capfd, head="abc1234")[1] == text


def test_nothing_to_decide_is_no_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan(tmp_path, "dev", same(ACCOUNT, "store"))
    code, text = commented(tmp_path, capfd)
    assert code == ExitCode.DONE
    assert "### Deployment preview: no stack changes" in text
    assert "<details" not in text


def test_a_plan_that_the_engine_could_not_make_is_the_first_of_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan(tmp_path, "prod", step("delete", SERVER, "server", {"serverName": "s"}))
    save(tmp_path / "dev.json", "dev", None, "error: no login @everyone", Source())
    code, text = commented(tmp_path, capfd)
    assert code == ExitCode.FAILED
    assert "### Deployment preview: `dev` could not be computed" in text
    assert "`error: no login @everyone`" in text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[]",
        '{"version": 2}',
        '{"version": 1, "stack": "../x"}',
        '{"version": 1, "stack": "prod", "preview": []}',
        '{"version": 1, "stack": "prod", "preview": {"steps": [{"op": "update"}]}}',
        '{"version": 1, "stack": "prod", "preview": {"steps": [{"urn": "urn:pulumi:dev::p::a::b", "op": "same"}]}}',
        '{"version": 1, "stack": "prod", "preview": {"steps": [], "diagnostics": [1]}}',
        '{"version": 1, "stack": "prod", "preview": {"steps": [], "config": 3}}',
        '{"version": 1, "stack": "prod", "preview": {"steps": [{"urn": "u", "op": "update", "newState": 1}]}}',
        "[" * 100_000,
    ],
    ids=range(12),
)
def test_a_file_that_is_no_plan_is_named_and_the_other_stacks_are_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "prod.json").write_text(content)
    plan(tmp_path, "dev", same(ACCOUNT, "store"))
    with pytest.raises(PlanError, match=r"^(prod\.json: |this is no preview)"):
        load(tmp_path / "prod.json")
    code, text = commented(tmp_path, capfd)
    assert code == ExitCode.FAILED
    assert "could not be computed" in text.splitlines()[1]
    assert "| `dev` | no change |" in text


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "prod.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(PlanError, match=r"prod\.json: got 67,108,865 bytes"):
        load(tmp_path / "prod.json")


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_of_a_plan_is_rendered_or_notifies_anybody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    pages = []
    for number, one in enumerate((value, "plain")):
        folder = tmp_path / str(number)
        plan(
            folder,
            "prod",
            step("update", ACCOUNT, one, {"tags": {one: "a"}}, {"tags": {one: one}}),
            step("delete", SERVER, one, {"serverName": one}, protect=(True, True)),
        )
        save(folder / "dev.json", "dev", None, one, Source(head=one, against=one))
        _, text = commented(folder, capfd, head=one)
        assert [line for line in text.splitlines() if line.startswith("<!--")] == [MARKER]
        pages.append(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    outside = [re.sub(r"<code>.*?</code>", "<code>", page, flags=re.DOTALL) for page in pages]
    hostile, plain = (sorted(re.findall(r"<[^>]+>", page)) for page in outside)
    assert hostile == plain
    assert "@everyone" not in outside[0]
    assert "evil.example" not in outside[0]


@pytest.mark.parametrize(("stacks", "values"), [(1, 3000), (40, 1), (40, 60)])
def test_a_comment_is_never_too_long_and_keeps_every_verdict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], stacks: int, values: int
) -> None:
    for number in range(stacks):
        changes = [
            step("update", ACCOUNT, f"store-{one}-{'x' * 100}", {"tags": {"a": "1"}}, {"tags": {"a": f"{one}"}})
            for one in range(values)
        ]
        deleted = [step("delete", SERVER, f"{'server' * 20}-{one}", {"serverName": "s"}) for one in range(6)]
        plan(tmp_path, f"stack-{number:02}", *changes, *deleted)
    _, text = commented(tmp_path, capfd)
    assert len(text) <= LONGEST_COMMENT
    assert len(re.findall(r"^\| `stack-\d\d` \| refused: would delete database \|", text, re.MULTILINE)) == stacks
    assert text.count("<details") == text.count("</details>")


def test_a_folder_without_plans_is_wrong_usage(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(CommandError, match="with 0 JSON files; expected 1 to 50") as refused:
            command.report(folder, pull_request=0, head="", issues=False)
        assert refused.value.code == ExitCode.USAGE
