"""docs/alerts.md has each alert of the panels and of the lines, and nothing else."""

from __future__ import annotations

from dataclasses import replace

from components.mlflow.observability.panels import MEMORY, PANELS, Alert
from delivery.reference.alerts import DOCUMENT, render


def test_the_committed_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == render()


def test_an_alert_on_a_panel_is_a_row_with_its_line() -> None:
    alert = Alert(name="memory", title="MLflow: much memory", severity=0, above=1e9, what_to_do="Look.")
    row = '| `memory` | 0 | much memory | panel "Memory, largest replica", above 1e+09 bytes | Look. |'
    assert row not in render()
    assert row in render([*PANELS, replace(MEMORY, alert=alert)]).splitlines()
