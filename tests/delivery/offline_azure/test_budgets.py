"""What the offline Azure refuses of a budget, and what it answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError

BUDGET = "azure-native:consumption:Budget"
NOTIFICATION = {
    "enabled": True,
    "operator": "GreaterThanOrEqualTo",
    "threshold": 80,
    "contactEmails": ["a@example.com"],
}


class Clock:
    def __init__(self, *, year: int, month: int) -> None:
        self.now = datetime(year, month, 29, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(year=2026, month=11)


@pytest.fixture
def azure(tmp_path: Path, clock: Clock) -> Azure:
    cloud = Azure(tmp_path / "azure.json", now=clock)
    cloud.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "rg", "location": "westeurope"})
    return cloud


def budget(azure: Azure, **changes: Any) -> dict[str, Any]:
    return {
        "scope": next(iter(azure.resources.values()))["id"],
        "budgetName": "b",
        "amount": 100,
        "category": "Cost",
        "timeGrain": "Monthly",
        "timePeriod": {"startDate": "2026-11-01"},
        "notifications": {"actual": NOTIFICATION},
        **changes,
    }


def test_the_answer_has_whole_times_and_a_version(azure: Azure) -> None:
    answer = azure.create(BUDGET, budget(azure))["inputs"]
    assert answer["timePeriod"] == {"startDate": "2026-11-01T00:00:00Z", "endDate": "2036-11-01T00:00:00Z"}
    assert answer["eTag"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timePeriod": {"startDate": "2026-10-01"}}, "in the past, outside of the current time grain period"),
        ({"timePeriod": {"startDate": "2026-11-15"}}, "must be the first of a month"),
        ({"timePeriod": {"startDate": "2027-12-01"}}, "more than twelve months in the future"),
        ({"notifications": dict.fromkeys("abcdef", NOTIFICATION)}, "at most 5 notifications"),
        (
            {"notifications": {"a": {**NOTIFICATION, "contactEmails": []}}},
            "neither a contact email nor a contact group",
        ),
    ],
)
def test_it_is_refused(azure: Azure, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=f"Status=400.*{message}"):
        azure.create(BUDGET, budget(azure, **changes))


def test_an_update_needs_the_start_and_the_version_that_are_there(azure: Azure, clock: Clock) -> None:
    there = azure.create(BUDGET, budget(azure))
    tag = there["inputs"]["eTag"]
    clock.now = datetime(2027, 2, 3, tzinfo=UTC)
    with pytest.raises(RefusedError, match="Please get the latest budget to avoid overwrite"):
        azure.update(BUDGET, there["id"], budget(azure, amount=200))
    with pytest.raises(RefusedError, match="Start date of budgets cannot be updated"):
        azure.update(BUDGET, there["id"], budget(azure, eTag=tag, timePeriod={"startDate": "2027-02-01"}))
    changed = azure.update(BUDGET, there["id"], budget(azure, amount=200, eTag=tag))
    assert (changed["inputs"]["amount"], changed["inputs"]["eTag"] != tag) == (200, True)
