"""The reference is what the settings' model says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from delivery.reference import configuration as reference
from infra.settings.fields import Section, Whole, bounded, described, keys, section_of
from infra.settings.model import KEYS


class _Answers(Section):
    """What is known."""

    most_answers: Whole = bounded("How many there are", 1, 42, unit="answers", default=7)


class _Part(Section):
    name: str = described("Whose they are", "a name | a number")
    answers: _Answers


def test_the_committed_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "-m", "delivery.reference.configuration", "--check"], check=False)
    assert done.returncode == 0


def test_a_changed_model_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "configuration.md"
    stale.write_text(reference.DOCUMENT.read_text().replace("required", "optional"))
    monkeypatch.setattr(reference, "DOCUMENT", stale)
    monkeypatch.setattr(sys, "argv", ["configuration_reference", "--check"])
    assert reference.main() == 1


def test_each_setting_has_a_row_with_its_type_default_range_and_meaning() -> None:
    text = reference.render({"Of all": _Part})
    assert "| `name` | text | required | a name \\| a number | Whose they are. |" in text
    assert "| `answers.mostAnswers` | whole number | `7` | 1 to 42 answers | How many there are. |" in text


def test_no_setting_is_left_out_and_each_has_a_meaning() -> None:
    text = reference.DOCUMENT.read_text()
    for key, info in KEYS.items():
        section = section_of(info)
        rows = {f"{key}.{name}": each for name, each in keys(section).items()} if section else {key: info}
        for row, each in rows.items():
            assert f"| `{row}` |" in text
            assert each.description, row


def test_a_default_that_depends_on_the_profile_is_shown_for_each() -> None:
    assert "| local `20`, dev `2`, staging `10`, prod `4` |" in reference.DOCUMENT.read_text()
