"""Who changed what differs: Azure's activity log, as the offline Azure and a hostile caller fill it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.azure.arm import Answer, Arm, ArmError
from delivery.drift.activity import API_VERSION, LOOKED_BACK, MOST_PAGES, with_callers
from delivery.drift.lines import Drift, LastChange, drift
from delivery.drift.report import document, issue, text
from delivery.drift.ways_out import ways_out
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.rest import BEARER, ManagementApi
from delivery.preview.plan import read
from tests.support.previews import preview, step

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ACCOUNT = "azure-native:storage:StorageAccount"
GROUP = {"resourceGroupName": "rg", "location": "westeurope"}


class Clock:
    """The offline Azure's, which a test sets."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def azure(tmp_path: Path, clock: Clock) -> Azure:
    made = Azure(tmp_path / "azure.json", now=clock)
    made.create("azure-native:resources:ResourceGroup", GROUP)
    return made


@pytest.fixture
def management(azure: Azure) -> Iterator[ManagementApi]:
    server = ManagementApi(azure)
    yield server
    server.close()


def signed(url: str) -> Arm:
    return Arm(api_version=API_VERSION, endpoint=url, token=lambda _: BEARER, patience=0)


def drifted(*identifiers: str) -> Drift:
    """Resources with another owner on Azure."""
    steps = []
    for number, identifier in enumerate(identifiers):
        one = step(
            "update",
            "storage:StorageAccount",
            f"r{number}",
            {"minimumTlsVersion": "TLS1_2"},
            {"minimumTlsVersion": "TLS1_0"},
        )
        one["oldState"]["id"] = one["newState"]["id"] = identifier
        steps.append(one)
    return drift(read(preview(*steps)))


def answering(*pages: Mapping[str, Any]) -> tuple[Arm, list[str]]:
    """A client whose calls get these bodies, the last one again and again, and the paths that it asked for."""
    asked: list[str] = []

    class Pages(Arm):
        def get(self, path: str) -> Answer:
            asked.append(path)
            return Answer(200, {}, pages[min(len(asked), len(pages)) - 1])

    return Pages(api_version=API_VERSION, endpoint="https://azure.example", token=lambda _: "t"), asked


def event(**more: Any) -> dict[str, Any]:
    return {
        "caller": "jane@example.com",
        "eventTimestamp": "2026-11-28T10:00:00.1234567Z",
        "operationName": {"value": "Microsoft.Storage/storageAccounts/write"},
        "status": {"value": "Succeeded"},
        **more,
    }


def last(arm: Arm) -> LastChange | None:
    (line,) = with_callers(drifted("/subscriptions/0/one"), arm, NOW).lines
    return line.last


def test_the_last_one_who_changed_a_resource_is_named(azure: Azure, management: ManagementApi, clock: Clock) -> None:
    made = azure.create(
        ACCOUNT, {**GROUP, "accountName": "stone", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    )
    other = azure.create(
        ACCOUNT, {**GROUP, "accountName": "sttwo", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    )
    for hours, who in ((1, "jane@example.com"), (2, "tom@example.com")):
        clock.now = NOW + timedelta(hours=hours)
        azure.change(made["id"], by=who, minimumTlsVersion="TLS1_0")
    clock.now = NOW + timedelta(hours=3)
    azure.change(other["id"], by="ann@example.com", minimumTlsVersion="TLS1_0")
    azure.remove(other["id"], by="zoe@example.com")
    found = with_callers(
        drifted(made["id"].upper().replace("/SUBSCRIPTIONS", "/subscriptions"), other["id"], "not an id"),
        signed(management.url),
        clock.now,
    )
    named = [line.last for line in found.lines]
    assert [one and (one.caller, one.operation, one.at) for one in named] == [
        ("tom@example.com", "Microsoft.Storage/storageAccounts/write", NOW + timedelta(hours=2)),
        ("zoe@example.com", "Microsoft.Storage/storageAccounts/delete", NOW + timedelta(hours=3)),
        None,
    ]
    assert found.unread == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("api-version=2015-04-01", "not one of the supported patterns"),
        (
            "api-version=2015-04-01&$filter=eventTimestamp%20ge%20'2026-11-01T00:00:00Z'",
            "not one of the supported patterns",
        ),
        ("api-version=2024-01-01&$filter=x", "api-version '2024-01-01' is invalid"),
    ],
)
def test_the_offline_azure_refuses_what_azure_refuses(management: ManagementApi, query: str, said: str) -> None:
    with pytest.raises(ArmError, match=said):
        signed(management.url).get(
            f"/subscriptions/0/providers/Microsoft.Insights/eventtypes/management/values?{query}"
        )


@pytest.mark.parametrize("back", [timedelta(days=91), timedelta(days=-1)])
def test_the_offline_azure_refuses_a_time_that_it_no_longer_has(azure: Azure, back: timedelta) -> None:
    since, until = (NOW - back).isoformat(), NOW.isoformat()
    asked = f"eventTimestamp ge '{since}' and eventTimestamp le '{until}' and resourceUri eq '/one'"
    with pytest.raises(Exception, match="at most 90 days ago"):
        azure.activity({"api-version": API_VERSION, "$filter": asked})


def test_a_log_that_cannot_be_read_is_said_and_no_end(management: ManagementApi) -> None:
    forbidden = Arm(api_version=API_VERSION, endpoint=management.url, token=lambda _: "of nobody", patience=0)
    found = with_callers(drifted("/subscriptions/0/one"), forbidden, NOW)
    assert [line.last for line in found.lines] == [None]
    assert "401 InvalidAuthenticationToken" in found.unread
    assert "last changed: not known" in text(found, ways_out(found, {}))
    assert "Azure's activity log could not be read: `GET /subscriptions/0" in issue(found, ways_out(found, {}))
    assert document(found, ways_out(found, {}))["activityLogUnread"] == found.unread


def test_nobody_is_asked_where_nothing_differs() -> None:
    arm, asked = answering({})
    assert with_callers(drifted(), arm).lines == []
    assert asked == []


@pytest.mark.parametrize("identifier", ["/subscriptions/0/it's", "/subscriptions/0/x' or resourceUri eq '/y", "r-1"])
def test_an_id_that_cannot_be_asked_for_is_not_asked_for(identifier: str) -> None:
    arm, asked = answering({"value": [event()]})
    (line,) = with_callers(drifted(identifier), arm, NOW).lines
    assert (line.last, asked) == (None, [])


@pytest.mark.parametrize(
    "of_no_use",
    [
        event(status={"value": "Failed"}),
        event(status={"value": "Started"}),
        event(operationName={"value": "Microsoft.Storage/storageAccounts/read"}),
        event(caller=None),
        event(eventTimestamp="yesterday"),
        event(eventTimestamp="2026-11-28T10:00:00"),
        event(operationName="text"),
        "text",
    ],
    ids=range(8),
)
def test_events_that_change_nothing_or_say_too_little_are_passed_over(of_no_use: Any) -> None:
    arm, _ = answering({"value": [of_no_use, event(eventTimestamp="2026-11-01T10:00:00Z")]})
    found = last(arm)
    assert found is not None
    assert f"{found.at:%Y-%m-%d}" == "2026-11-01"


def test_all_pages_are_read_up_to_a_limit_and_none_of_another_place() -> None:
    more = {"value": [], "nextLink": "https://azure.example/next?api-version=1"}
    arm, asked = answering(more, {"value": [event()]})
    assert last(arm) is not None
    assert asked[1] == "/next?api-version=1"
    arm, asked = answering(more)
    assert last(arm) is None
    assert len(asked) == MOST_PAGES
    arm, asked = answering({"nextLink": "https://elsewhere.example/next"})
    assert last(arm) is None
    assert len(asked) == 1


def test_who_and_what_are_values_of_others() -> None:
    hostile = "@everyone <img src=x>|`x`\n# head" + "a" * 1000
    arm, _ = answering({"value": [event(caller=hostile, operationName={"value": f"{hostile[:90]}/write"})]})
    found = with_callers(drifted("/subscriptions/0/one"), arm, NOW)
    row = next(line for line in issue(found, ways_out(found, {})).splitlines() if "--revert" in line)
    assert row.startswith("| 1 | ``@everyone <img src=x>\\|`x` # headaaa")
    assert len(row) < 1000
    assert (
        "\n# head"
        not in text(found, ways_out(found, {}))
        + document(found, ways_out(found, {}))["lines"][0]["lastChange"]["caller"]
    )


def test_what_the_log_does_not_have_is_said() -> None:
    arm, _ = answering({"value": []})
    found = with_callers(drifted("/subscriptions/0/one"), arm, NOW)
    assert f"last changed: not in the activity log of {LOOKED_BACK.days} days" in text(found, ways_out(found, {}))
    assert document(found, ways_out(found, {}))["lines"][0]["lastChange"] is None


def test_each_form_names_the_change() -> None:
    arm, asked = answering({"value": [event()]})
    found = with_callers(drifted("/subscriptions/0/resourceGroups/rg"), arm, NOW)
    assert "   last changed: jane@example.com, 2026-11-28 10:00 UTC, Microsoft.Storage/storageAccounts/write" in text(
        found, ways_out(found, {})
    )
    assert "| 1 | `jane@example.com`, 2026-11-28 10:00 UTC, `Microsoft.Storage/storageAccounts/write` |" in issue(
        found, ways_out(found, {})
    )
    assert document(found, ways_out(found, {}))["lines"][0]["lastChange"] == {
        "caller": "jane@example.com",
        "operation": "Microsoft.Storage/storageAccounts/write",
        "at": "2026-11-28T10:00:00.123456+00:00",
    }
    assert asked == [
        "/subscriptions/0/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter="
        "eventTimestamp%20ge%20%272026-09-01T12%3A00%3A00Z%27%20and%20eventTimestamp%20le%20%272026-11-29T12%3A00%3A00Z"
        "%27%20and%20resourceUri%20eq%20%27/subscriptions/0/resourceGroups/rg%27"
    ]
