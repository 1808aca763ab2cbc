"""Each form of a report: what it shows, and that nothing of a pull request's values is rendered, linked or obeyed."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from delivery.offline_azure import product
from delivery.outcome import CommandError, ExitCode
from delivery.preview import command, github_annotations, terminal
from delivery.preview.document import document
from delivery.preview.markdown import LONGEST_COMMENT, Form, markdown, marker
from delivery.preview.plan import read
from delivery.preview.reasons import Verdict
from delivery.preview.report import Report, Source, report
from delivery.preview.saved import load, save
from delivery.pulumi.engine import Result
from delivery.pulumi.installation import REPOSITORY
from tests.support.previews import STACK, preview, same, step

ACCOUNT, SERVER = "storage:StorageAccount", "dbforpostgresql:Server"

HOSTILE = [
    "@everyone",
    "<script>alert(1)</script>",
    "</details>",
    "a | b",
    "`code` ``more``",
    "`",
    "line\nbreak\r\n# title",
    "<!-- mlflow-platform:preview stack=dev -->",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "\x1b[31mred\x1b[0m",
    "x" * 100_000,
    "#1 and https://evil.example",
    "\u202etxt",
]


def hostile(value: str) -> Report:
    return report(
        read(
            preview(
                step("update", ACCOUNT, value, {"tags": {value: "a"}}, {"tags": {value: value}}),
                step("delete", SERVER, value, {"serverName": value}, protect=(True, True)),
            )
        ),
        Source(head=value, base=value, against=value, offline=True),
    )


def printed(found: Report, **options: Any) -> str:
    stream = io.StringIO()
    terminal.show(found, stream=stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_is_shown_as_text_wherever_it_stands(form: Form, value: str) -> None:
    text = markdown(hostile(value), form)
    ours = markdown(hostile("plain"), form)
    assert not any(line.startswith(marker("dev")) for line in text.splitlines())
    assert text.splitlines()[0] == marker("prod", form)
    # Rendered by the rules of GitHub, everything that is no code is ours: the same tags in the same number.
    html, expected = (MarkdownIt("commonmark", {"html": True}).enable("table").render(one) for one in (text, ours))
    outside, ours_outside = (re.sub(r"<code>.*?</code>", "<code>", one, flags=re.DOTALL) for one in (html, expected))
    assert sorted(re.findall(r"<[^>]+>", outside)) == sorted(re.findall(r"<[^>]+>", ours_outside))
    assert "@everyone" not in outside
    assert "evil.example" not in outside


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_terminal_obeys_no_value(value: str) -> None:
    text = printed(hostile(value), changes=True)
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_an_annotation_stays_one_line(value: str, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("config: {}\n")
    plan = read(preview(step("delete", SERVER, value, {"serverName": value})))
    for line in github_annotations.lines(report(plan), plan, file, tmp_path):
        assert re.fullmatch(r"::(error|warning|notice) [^\n]*title=[^\n:]*::[^\n]*", line)


def test_a_long_comment_loses_its_lists_and_never_a_reason() -> None:
    many = [step("update", ACCOUNT, f"account-{n}", {"a": n}, {"a": "y" * 90}) for n in range(900)]
    found = report(read(preview(*many, step("delete", SERVER, "server", {"serverName": "psql"}))))
    comment, summary = markdown(found), markdown(found, Form.SUMMARY)
    assert len(comment) < LONGEST_COMMENT < len(summary)
    assert "would delete database" in comment
    assert "| resource | change |" not in comment
    assert "account-899" in summary


def test_the_forms_say_the_same() -> None:
    plan = read(
        preview(same(ACCOUNT, "a"), step("delete", SERVER, "server", {"serverName": "psql"}, protect=(True, True)))
    )
    found = report(plan, Source(head="abc", against="HEAD", offline=True))
    comment, devops = markdown(found), markdown(found, Form.AZURE_DEVOPS)
    assert comment.startswith(
        "<!-- mlflow-platform:preview stack=prod -->\n### `prod` · refused: would delete database"
    )
    assert "> [!CAUTION]" in comment
    assert "<details>" in comment
    assert "[!CAUTION]" not in devops
    assert "<" not in devops.replace("<br>", "")
    assert "**REFUSED**" in devops
    assert "<details open>" in markdown(found, Form.SUMMARY)
    text = document(found)
    assert (text["verdict"], text["stack"], text["version"]) == ("refused", "prod", 1)
    assert text["reasons"][0]["subject"] == "data resources"
    assert text["reasons"][0]["resource"] == "server"
    assert json.loads(json.dumps(text)) == text
    screen = printed(found)
    assert screen.startswith("prod: refused  would delete database")
    assert "--changes lists them" in screen
    assert "server" in printed(found, changes=True)
    for shown in (comment, devops, screen):
        assert found.plan in shown


def test_an_annotation_stands_at_the_setting_or_at_the_program(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    file = tmp_path / "stacks" / "Pulumi.prod.yaml"
    file.write_text("config:\n  mlflow-platform:ingress: public\n  mlflow-platform:tracking:\n    minReplicas: 1\n")
    message = (
        "The configuration of stack prod cannot be used:\n  - tracking.minReplicas: 1 is not allowed.\n"
        "  - ingress: 'public' is not allowed.\n  - database.sku: gone."
    )
    refused = read(preview(errors=[message]))
    lines = github_annotations.lines(report(refused), refused, file, tmp_path)
    assert [re.findall(r"line=(\d+)", line) for line in lines] == [["4"], ["2"], ["1"]]
    assert all(line.startswith("::error file=stacks/Pulumi.prod.yaml,line=") for line in lines)
    source = "project:///infra/azure/data.py#94"
    plan = read(preview(step("delete", SERVER, "server", {"serverName": "psql"}, source=source)))
    assert "file=infra/azure/data.py,line=94" in github_annotations.lines(report(plan), plan, file, tmp_path)[0]


def test_at_most_ten_annotations_are_written_the_worst_first(tmp_path: Path) -> None:
    lower = [step("update", "monitor:MetricAlert", f"a{n}", {"enabled": True}, {"enabled": False}) for n in range(20)]
    plan = read(preview(*lower, step("delete", SERVER, "server", {"serverName": "psql"})))
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("config: {}\n")
    lines = github_annotations.lines(report(plan), plan, file, tmp_path)
    assert len(lines) == github_annotations.MOST
    assert lines[0].startswith("::error")


@pytest.mark.parametrize("pipeline", [False, True])
def test_a_step_hands_its_plan_over(
    pipeline: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_BUILD", raising=False)
    if pipeline:
        monkeypatch.setenv("TF_BUILD", "True")
    change = step("update", "storage:StorageAccount", "store", {"tags": {"a": "1"}}, {"tags": {"a": "2"}})
    result = Result(code=0, out=json.dumps(preview(change)), text="")
    written = command.Written(form=command.Form.AZURE_DEVOPS, outputs=tmp_path / "outputs")
    assert command.write(result, STACK, Source(), written, tmp_path) == 0
    plan, changes = (line.partition("=")[2] for line in (tmp_path / "outputs").read_text().splitlines())
    assert (len(plan), changes) == (16, "1")
    said = capfd.readouterr().err
    assert ("##vso[task.setvariable variable=changes;isOutput=true]1" in said) is pipeline


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("config:\n  : : {\n", "stacks/Pulumi.prod.yaml"),
        ("config: {a: 1, a: 2}\n", "stacks/Pulumi.prod.yaml"),
        ("config: !tag x\n", "stacks/Pulumi.prod.yaml"),
        ("config: {mlflow-platform:location: {secure: v1:abc}}\n", "is encrypted"),
        (None, "is no file"),
        ("", "has no file"),
    ],
    ids=range(6),
)
def test_a_stack_whose_file_cannot_be_read_is_in_the_pull_request_too(
    content: str | None,
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The engine is not started.
    monkeypatch.setattr(product, "engine_environment", lambda *_: {})
    repository, saved = tmp_path / "repository", tmp_path / "prod.json"
    (repository / "stacks").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Pulumi.yaml", repository)
    file = repository / "stacks" / "Pulumi.prod.yaml"
    if content is None:
        file.mkdir()
    elif content:
        file.write_text(content)
    saved.write_text("{}")  # of an earlier run
    written = command.Written(form=command.Form.JSON, save=saved)
    assert command.show("prod", written, offline=True, repository=repository) == ExitCode.FAILED
    printed_document = json.loads(capfd.readouterr().out)
    assert printed_document["verdict"] == Verdict.NOT_COMPUTED.words
    assert said in printed_document["reasons"][0]["text"]
    plan, *_ = load(saved)
    assert (plan.stack, said in plan.errors[0]) == ("prod", True)
    with pytest.raises(CommandError, match=said):
        command.show("prod", offline=True, repository=repository)


def test_a_secret_on_azure_is_in_no_form_and_in_no_file(tmp_path: Path) -> None:
    secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    tags = {"note": secret, "password": "hunter2-Qx81", "all": {"clientSecret": "hunter2-Qx81"}}
    moved = preview(step("update", ACCOUNT, "store", {"tags": {}}, {"tags": tags}))
    drift = {"refresh": moved, "error": ""}
    save(tmp_path / "prod.json", STACK, preview(same(ACCOUNT, "store")), "", Source(), drift)
    saved = (tmp_path / "prod.json").read_text()
    found = report(*load(tmp_path / "prod.json"))
    forms = [*(markdown(found, form) for form in Form), printed(found, changes=True), json.dumps(document(found))]
    forms += [json.dumps(document(report(read(preview(errors=[f"401 of {secret}"])))))]
    for text in (saved, *forms, markdown(report(read(moved)))):
        assert not any(one in text for one in (secret, "hunter2"))
