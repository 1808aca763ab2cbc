"""The management API: jobs are started and watched, revisions looked at, deleted vaults purged; and its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from delivery.offline_azure import rest
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.rest import ManagementApi

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
CONTAINER = {
    "name": "prepare",
    "image": "acr.azurecr.io/mlflow-platform@sha256:00",
    "env": [{"name": "A", "value": "1"}],
    "resources": {"cpu": 0.5, "memory": "1Gi"},
}


@pytest.fixture
def management(tmp_path: Path) -> Iterator[ManagementApi]:
    azure = Azure(tmp_path / "azure.json")
    azure.create("azure-native:resources:ResourceGroup", PLACED)
    environment = azure.create("azure-native:app:ManagedEnvironment", {**PLACED, "environmentName": "cae"})
    azure.create(
        "azure-native:app:Job",
        {
            **PLACED,
            "jobName": "mlflow-prepare",
            "environmentId": environment["id"],
            "configuration": {"triggerType": "Manual", "replicaTimeout": 600},
            "template": {"containers": [CONTAINER]},
        },
    )
    server = ManagementApi(azure)
    yield server
    server.close()


def put_app(management: ManagementApi, *, replicas: int = 1, again: bool = False, image: str = "first") -> str:
    environment = find(management, "ManagedEnvironment")
    inputs = {
        **PLACED,
        "containerAppName": "mlflow-gateway",
        "environmentId": environment,
        "template": {
            "containers": [{**CONTAINER, "image": f"acr.azurecr.io/{image}"}],
            "scale": {"minReplicas": replicas, "maxReplicas": 3},
        },
    }
    token = "azure-native:app:ContainerApp"
    if again:
        return str(management.azure.update(token, find(management, "ContainerApp"), inputs)["id"])
    return str(management.azure.create(token, inputs)["id"])


def find(management: ManagementApi, kind: str) -> str:
    return next(str(one["id"]) for one in management.azure.resources.values() if one["type"].endswith(f":{kind}"))


def ask(
    management: ManagementApi,
    method: str,
    path: str,
    query: str = "?api-version=2025-02-02-preview",
    token: str = rest.BEARER,
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = urllib3.request(method, f"{management.url}{path}{query}", headers=headers, retries=False)
    return answer.status, answer.json()


def job(management: ManagementApi) -> str:
    return find(management, "Job")


@pytest.mark.parametrize("outcome", ["Succeeded", "Failed"])
def test_an_execution_runs_and_then_has_ended(management: ManagementApi, outcome: str) -> None:
    management.outcomes["mlflow-prepare"] = [outcome]
    status, started = ask(management, "POST", f"{job(management)}/start")
    assert status == 200
    looks = [ask(management, "GET", started["id"])[1]["properties"]["status"] for _ in range(3)]
    assert looks == ["Running", outcome, outcome]
    assert [one["name"] for one in ask(management, "GET", f"{job(management)}/executions")[1]["value"]] == [
        started["name"]
    ]


def test_an_execution_tells_what_it_runs(management: ManagementApi) -> None:
    ask(management, "POST", f"{job(management)}/start")
    (execution,) = ask(management, "GET", f"{job(management)}/executions")[1]["value"]
    assert execution["properties"]["template"]["containers"] == [CONTAINER]
    assert execution["properties"]["startTime"] < "9"


def test_what_is_not_there_or_not_versioned_is_refused(management: ManagementApi) -> None:
    assert ask(management, "POST", "/subscriptions/s/jobs/none/start")[0] == 404
    assert ask(management, "GET", f"{job(management)}/executions/none")[0] == 404
    status, answer = ask(management, "POST", f"{job(management)}/start", query="")
    assert (status, answer["error"]["code"]) == (400, "MissingApiVersionParameter")


def test_a_start_can_be_throttled(management: ManagementApi) -> None:
    management.azure.inject("throttled", operation="start", matching="/jobs/")
    assert [ask(management, "POST", f"{job(management)}/start")[0] for _ in range(2)] == [429, 200]


@pytest.mark.parametrize("token", ["", "stale"])
def test_a_call_without_the_token_is_refused_and_does_nothing(management: ManagementApi, token: str) -> None:
    for method, path in (("POST", f"{job(management)}/start"), ("GET", job(management))):
        status, answer = ask(management, method, path, token=token)
        assert (status, answer["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert management.azure.executions == {}


def test_the_default_credential_gets_the_token_of_the_management_api(
    management: ManagementApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.identity import ManagedIdentityCredential

    for name, value in rest.identity_environment(management.url).items():
        monkeypatch.setenv(name, value)
    assert ManagedIdentityCredential().get_token("https://management.azure.com/.default").token == rest.BEARER


@pytest.mark.parametrize(
    ("query", "header", "status"),
    [
        ("?resource=https://management.azure.com/&api-version=2019-08-01", "other", 401),
        ("?resource=https://management.azure.com/&api-version=2017-09-01", rest.IDENTITY_HEADER, 400),
        ("?resource=https://vault.azure.net&api-version=2019-08-01", rest.IDENTITY_HEADER, 400),
        ("?resource=https://management.azure.com/&api-version=2019-08-01", rest.IDENTITY_HEADER, 200),
    ],
)
def test_a_token_is_for_who_asks_rightly(management: ManagementApi, query: str, header: str, status: int) -> None:
    url = f"{rest.identity_environment(management.url)['IDENTITY_ENDPOINT']}{query}"
    assert urllib3.request("GET", url, headers={"X-IDENTITY-HEADER": header}).status == status


def test_a_revision_is_on_its_way_and_then_runs(management: ManagementApi) -> None:
    app = put_app(management, replicas=2)
    status, answer = ask(management, "GET", app)
    assert status == 200
    name = answer["properties"]["latestRevisionName"]
    assert answer["properties"]["latestReadyRevisionName"] == name
    assert answer["properties"]["provisioningState"] == "Succeeded"
    looks = [ask(management, "GET", f"{app}/revisions/{name}")[1]["properties"] for _ in range(2)]
    assert [look["runningState"] for look in looks] == ["Processing", "Running"]
    assert [(look["healthState"], look["replicas"]) for look in looks] == [("None", 0), ("Healthy", 2)]


def test_without_replicas_a_ready_revision_is_scaled_to_zero(management: ManagementApi) -> None:
    app = put_app(management, replicas=0)
    name = ask(management, "GET", app)[1]["properties"]["latestRevisionName"]
    looks = [ask(management, "GET", f"{app}/revisions/{name}")[1]["properties"] for _ in range(2)]
    assert (looks[-1]["runningState"], looks[-1]["replicas"]) == ("ScaledToZero", 0)


@pytest.mark.parametrize(("outcome", "provisioning"), [("Unready", "Provisioned"), ("Failed", "Failed")])
def test_a_revision_that_never_gets_ready_leaves_the_one_before_it(
    management: ManagementApi, outcome: str, provisioning: str
) -> None:
    app = put_app(management)
    first = ask(management, "GET", app)[1]["properties"]["latestRevisionName"]
    management.outcomes["mlflow-gateway"] = [outcome]
    put_app(management, again=True, image="second")
    answer = ask(management, "GET", app)[1]["properties"]
    assert answer["latestReadyRevisionName"] == first != answer["latestRevisionName"]
    for _ in range(3):
        look = ask(management, "GET", f"{app}/revisions/{answer['latestRevisionName']}")[1]["properties"]
    assert (look["provisioningState"], look["healthState"], look["trafficWeight"]) == (provisioning, "Unhealthy", 0)
    assert look["runningStateDetails"]
    assert ask(management, "GET", f"{app}/revisions/none")[0] == 404
    put_app(management, again=True, image="third")
    answer = ask(management, "GET", app)[1]["properties"]
    assert answer["latestReadyRevisionName"] == answer["latestRevisionName"] != first
