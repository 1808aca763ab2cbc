"""The REST face: jobs are started and watched, deleted vaults purged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.azure_cloud.cloud import Azure
from tests.azure_cloud.rest import Face

JOB = {
    "resourceGroupName": "rg",
    "location": "westeurope",
    "jobName": "mlflow-prepare",
    "environmentId": "/e",
    "configuration": {"triggerType": "Manual", "replicaTimeout": 600},
}


@pytest.fixture
def face(tmp_path: Path) -> Iterator[Face]:
    azure = Azure(tmp_path / "azure.json")
    azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "rg", "location": "westeurope"})
    azure.create("azure-native:app:Job", JOB)
    server = Face(azure)
    yield server
    server.shutdown()
    server.server_close()


def ask(face: Face, method: str, path: str, query: str = "?api-version=2025-02-02-preview") -> tuple[int, Any]:
    answer = urllib3.request(method, f"{face.url}{path}{query}", retries=False)
    return answer.status, answer.json()


def job(face: Face) -> str:
    return next(str(one["id"]) for one in face.azure.resources.values() if one["type"] == "azure-native:app:Job")


@pytest.mark.parametrize("outcome", ["Succeeded", "Failed"])
def test_an_execution_runs_and_then_has_ended(face: Face, outcome: str) -> None:
    face.outcomes["mlflow-prepare"] = [outcome]
    status, started = ask(face, "POST", f"{job(face)}/start")
    assert status == 200
    looks = [ask(face, "GET", started["id"])[1]["properties"]["status"] for _ in range(3)]
    assert looks == ["Running", outcome, outcome]
    assert [one["name"] for one in ask(face, "GET", f"{job(face)}/executions")[1]["value"]] == [started["name"]]


def test_what_is_not_there_or_not_versioned_is_refused(face: Face) -> None:
    assert ask(face, "POST", "/subscriptions/s/jobs/none/start")[0] == 404
    assert ask(face, "GET", f"{job(face)}/executions/none")[0] == 404
    status, answer = ask(face, "POST", f"{job(face)}/start", query="")
    assert (status, answer["error"]["code"]) == (400, "MissingApiVersionParameter")


def test_a_start_can_be_throttled(face: Face) -> None:
    face.azure.inject("throttled", operation="start", matching="/jobs/")
    assert [ask(face, "POST", f"{job(face)}/start")[0] for _ in range(2)] == [429, 200]
