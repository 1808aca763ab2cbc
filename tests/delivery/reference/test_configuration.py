"""The reference is what the settings' model says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery import cli
from delivery.outcome import ExitCode
from delivery.reference import command
from delivery.reference import configuration as reference
from infra.settings.fields import Section, Whole, bounded, described, section_of
from infra.settings.model import KEYS


class _Answers(Section):
    """What is known."""

    most_answers: Whole = bounded("How many there are", 1, 42, unit="answers", default=7)


class _Part(Section):
    name: str = described("Whose they are", "a name | a number")
    answers: _Answers


def test_the_committed_reference_is_up_to_date() -> None:
    assert reference.DOCUMENT.read_text() == reference.render()


def test_an_outdated_document_is_named_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, stale = tmp_path / "good.md", tmp_path / "stale.md"
    good.write_text("said")
    stale.write_text("optional")
    monkeypatch.setattr(command, "DOCUMENTS", {good: lambda: "said", stale: lambda: "required"})
    assert cli.run(["reference", "--check"]) == ExitCode.FAILED
    printed = capsys.readouterr().err
    assert "stale.md: out of date" in printed
    assert "good.md" not in printed
    assert stale.read_text() == "optional"
    assert cli.run(["reference"]) == ExitCode.DONE
    assert stale.read_text() == "required"
    assert cli.run(["reference", "--check"]) == ExitCode.DONE


def test_each_setting_has_a_row_with_its_type_default_range_and_meaning() -> None:
    text = reference.render({"Of all": _Part})
    assert "| `name` | text | required | a name \\| a number | Whose they are. |" in text
    assert "| `answers.mostAnswers` | whole number | `7` | 1 to 42 answers | How many there are. |" in text


def test_no_setting_is_left_out_and_each_has_a_meaning() -> None:
    text = reference.DOCUMENT.read_text()
    for key, info in KEYS.items():
        section = section_of(info)
        rows = {f"{key}.{name}": each for name, each in reference.flat(section).items()} if section else {key: info}
        for row, each in rows.items():
            assert f"| `{row}` |" in text
            assert each.description, row


def test_a_default_that_depends_on_the_profile_is_shown_for_each() -> None:
    assert "| local `20`, dev `4`, staging `10`, prod `4` |" in reference.DOCUMENT.read_text()
