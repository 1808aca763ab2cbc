"""A budget that is made in one month and changed in another, by the real engine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import must
from tests.support import arm
from tests.support.engine import Program, served

SOURCE = Path(__file__).with_name("budget_program.py").read_text()


class Calendar:
    """The day that both the program and Azure see."""

    today = "2026-11-29"

    def __call__(self) -> datetime:
        return datetime.fromisoformat(self.today).replace(tzinfo=UTC)


def test_a_later_month_changes_nothing_and_another_amount_is_a_new_budget(tmp_path: Path) -> None:
    calendar = Calendar()
    azure = Azure(tmp_path / "azure.json", checks=arm.CHECKS, now=calendar)

    def starts() -> dict[str, str]:
        found = [one["inputs"] for one in azure.resources.values() if one["type"].endswith(":Budget")]
        return {one["budgetName"]: one["timePeriod"]["startDate"] for one in found}

    with served(azure) as port:
        program = Program.written(tmp_path, SOURCE, port)
        program.configure(today=calendar.today, amount=1200, emails="a@example.com")
        must(program.up())
        assert starts() == {"mlflow-1200": "2026-11-01T00:00:00Z"}

        calendar.today = "2027-03-02"
        program.configure(today=calendar.today)
        must(program.preview("--refresh", "--expect-no-changes"))
        must(program.up("--refresh", "--expect-no-changes"))

        # Who receives its notices is the action group's.
        program.configure(emails="a@example.com,b@example.com")
        assert "monitoring-budget" not in must(program.up()).text
        assert starts() == {"mlflow-1200": "2026-11-01T00:00:00Z"}

        program.configure(amount=1500)
        must(program.up())
        assert starts() == {"mlflow-1500": "2027-03-01T00:00:00Z"}
        must(program.preview("--expect-no-changes"))
