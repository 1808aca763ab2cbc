"""The reference is what the schema says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from delivery.reference import configuration as configuration_reference


def test_the_committed_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "-m", "delivery.reference.configuration", "--check"], check=False)
    assert done.returncode == 0


def test_a_changed_schema_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "configuration.md"
    stale.write_text(configuration_reference.DOCUMENT.read_text().replace("required", "optional"))
    monkeypatch.setattr(configuration_reference, "DOCUMENT", stale)
    monkeypatch.setattr(sys, "argv", ["configuration_reference", "--check"])
    assert configuration_reference.main() == 1


def test_every_key_is_in_it_with_its_description() -> None:
    text = configuration_reference.render({"answer": {"type": "integer", "default": 42, "description": "Of all."}})
    assert "| `answer` | integer | `42` | Of all. |" in text
