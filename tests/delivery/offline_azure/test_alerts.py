"""The alerts of a resource group: by time, in pages, and what a promotion reads of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3

from components.azure.arm import Arm, ArmError
from delivery.offline_azure import rest
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.rest import ManagementApi
from delivery.promote import alerts, evidence
from delivery.promote.gates import Unknown
from delivery.pulumi.engine import Engine

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
GROUP = "rg-mlflow-staging"
PLACED = {"resourceGroupName": GROUP, "location": "global"}


@pytest.fixture
def management(tmp_path: Path) -> Iterator[ManagementApi]:
    azure = Azure(tmp_path / "azure.json", now=lambda: NOW)
    for name in (GROUP, "rg-other"):
        azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": name, "location": "westeurope"})
    server = ManagementApi(azure)
    yield server
    server.close()


def rule(management: ManagementApi, name: str, group: str = GROUP) -> str:
    scope = next(str(one["id"]) for one in management.azure.resources.values() if one["id"].endswith(f"/{group}"))
    inputs = {
        **PLACED,
        "resourceGroupName": group,
        "ruleName": name,
        "severity": 2,
        "enabled": True,
        "scopes": [scope],
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "criteria": {
            "odataType": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            "allOf": [
                {
                    "criterionType": "StaticThresholdCriterion",
                    "name": "many",
                    "metricName": "requests",
                    "operator": "GreaterThan",
                    "threshold": 1,
                    "timeAggregation": "Total",
                }
            ],
        },
    }
    return str(management.azure.create("azure-native:monitor:MetricAlert", inputs)["id"])


def arm(management: ManagementApi) -> Arm:
    return Arm(api_version=alerts.API_VERSION, endpoint=management.url, token=lambda _: rest.BEARER, patience=5)


def fired(management: ManagementApi, hours: float, group: str = GROUP) -> list[str]:
    return alerts.fired(arm(management), _subscription(management), group, NOW - timedelta(hours=hours), NOW)


def _subscription(management: ManagementApi) -> str:
    return next(iter(management.azure.resources.values()))["id"].split("/")[2]  # type: ignore[no-any-return]


def test_what_fired_since_then_in_this_group_is_read(management: ManagementApi) -> None:
    first, other = rule(management, "no-replica"), rule(management, "no-replica", "rg-other")
    management.azure.fire(first, severity="Sev0", at=NOW - timedelta(hours=2))
    management.azure.fire(first, at=NOW - timedelta(hours=30))
    management.azure.fire(first, at=NOW - timedelta(days=40))
    management.azure.fire(other, at=NOW - timedelta(hours=1))
    assert fired(management, 1) == []
    assert fired(management, 24) == ["no-replica, severity 0, 2026-11-29T10:00"]
    # Azure keeps them for 30 days, and refuses an earlier time.
    assert len(fired(management, 24 * 365)) == 2
    assert management.azure.calls()[-1]["operation"] == "list"


def test_every_page_is_read(management: ManagementApi) -> None:
    name = rule(management, "errors")
    for minutes in range(260):
        management.azure._state["alerts"].append(_alert(management, name, minutes))
    assert len(fired(management, 24)) == 260


def _alert(management: ManagementApi, name: str, minutes: int) -> dict[str, Any]:
    from delivery.offline_azure.alerts import fired as alert

    return alert(management.azure.resources[name.lower()], NOW - timedelta(minutes=minutes), "Sev2")


def test_a_group_that_is_not_there_is_no_group_without_alerts(management: ManagementApi) -> None:
    with pytest.raises(ArmError, match="404 ResourceNotFound"):
        fired(management, 1, "rg-none")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("api-version=2018-05-05", "api-version 2018-05-05"),
        ("api-version=2019-05-05-preview&timeRange=2h", "timeRange 2h"),
        ("api-version=2019-05-05-preview&timeRange=1h&customTimeRange=a/b", "expected one of them"),
        ("api-version=2019-05-05-preview&customTimeRange=yesterday", "customTimeRange yesterday"),
        (
            "api-version=2019-05-05-preview&customTimeRange=2026-01-01T00:00:00%2B00:00/2026-11-29T00:00:00%2B00:00",
            "within 30 days",
        ),
        ("api-version=2019-05-05-preview&pageCount=251", "pageCount 251"),
        ("api-version=2019-05-05-preview&pageCount=many", "a whole number"),
    ],
)
def test_a_question_that_azure_does_not_take_is_refused(management: ManagementApi, query: str, said: str) -> None:
    scope = f"/subscriptions/{_subscription(management)}/resourceGroups/{GROUP}"
    answer = urllib3.request(
        "GET",
        f"{management.url}{scope}/providers/Microsoft.AlertsManagement/alerts?{query}",
        headers={"Authorization": f"Bearer {rest.BEARER}"},
        retries=False,
    )
    assert answer.status == 400
    assert said in answer.json()["error"]["message"]


def test_a_promotion_asks_for_the_group_that_the_stacks_state_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure = Azure(tmp_path / "azure.json")
    group = azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": GROUP, "location": "westeurope"})
    management = ManagementApi(azure)
    answers: dict[str, Any] = {
        "output": {"resource_group": GROUP},
        "export": {"deployment": {"resources": [{"type": "azure-native:resources:ResourceGroup", "id": group["id"]}]}},
    }
    monkeypatch.setenv("ARM_ENDPOINT", management.url)
    monkeypatch.setattr("components.azure.arm.default_token", lambda _: rest.BEARER)
    monkeypatch.setattr(evidence, "_engine", lambda *_: Engine(folder=tmp_path, environment={}))
    monkeypatch.setattr(evidence, "_asked", lambda _, *arguments: answers[arguments[1]])
    since = datetime.now(UTC) - timedelta(hours=24)

    def asked() -> Any:
        return evidence.gathered(tmp_path, "p", []).alerts("staging", since)

    try:
        assert asked() == []
        azure.fire(rule(management, "no-replica"), at=since + timedelta(hours=1))
        assert [line.split(",")[0] for line in asked()] == ["no-replica"]
        answers["output"] = {"resource_group": "rg-none"}
        assert "404 ResourceNotFound" in asked().why
        answers["export"] = {"deployment": None}
        assert asked() == Unknown("the stack's state names no subscription and no resource group")
    finally:
        management.close()
