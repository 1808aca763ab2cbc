"""What the offline Azure knows of database servers: who owns a database, and when an administrator can be set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from delivery.offline_azure import executions, postgres
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.rest import ManagementApi

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
CHILD = {"resourceGroupName": "rg", "serverName": "psql-one"}
TOKENS_ALONE = {"activeDirectoryAuth": "Enabled", "passwordAuth": "Disabled"}


@pytest.fixture
def management(azure: Azure) -> Iterator[ManagementApi]:
    server = ManagementApi(azure)
    yield server
    server.close()


def make(azure: Azure, short: str, **inputs: Any) -> dict[str, Any]:
    return azure.create(f"azure-native:{short}", inputs)


def server(azure: Azure, **inputs: Any) -> dict[str, Any]:
    return make(azure, "dbforpostgresql:Server", **PLACED, serverName="psql-one", **inputs)


def administrator(azure: Azure) -> dict[str, Any]:
    who = {"objectId": "11111111-1111-1111-1111-111111111111", "principalName": "id", "principalType": "User"}
    return make(azure, "dbforpostgresql:AdministratorsMicrosoftEntra", **CHILD, **who)


def database(azure: Azure, name: str) -> dict[str, Any]:
    return make(azure, "dbforpostgresql:Database", **CHILD, databaseName=name)


def test_a_new_server_takes_no_administrator_at_once(azure: Azure) -> None:
    server(azure, authConfig=TOKENS_ALONE)
    for _ in range(postgres.SETTLING_CALLS):
        with pytest.raises(RefusedError, match="AadAuthOperationCannotBePerformedWhenServerIsNotAccessible"):
            administrator(azure)
    administrator(azure)
    changed = azure.resources[str(azure.calls()[1]["id"]).lower()]
    azure.update(changed["type"], changed["id"], {**changed["inputs"], "tags": {"a": "b"}})
    assert azure.resources[changed["id"].lower()]["settling"] == 0


@pytest.mark.parametrize(
    ("inputs", "owner"),
    [
        ({"authConfig": TOKENS_ALONE}, "azuresu"),
        ({"authConfig": TOKENS_ALONE, "administratorLogin": "boss"}, "azuresu"),
        ({"administratorLogin": "boss", "administratorLoginPassword": "x"}, "boss"),
    ],
)
def test_a_database_that_arm_makes_belongs_to_the_login_if_there_is_one(
    azure: Azure, inputs: dict[str, Any], owner: str
) -> None:
    server(azure, **inputs)
    assert database(azure, "tracking")["owner"] == owner


@pytest.mark.parametrize(
    ("made", "asked_for", "ends"),
    [
        ("tracking", "tracking", executions.FAILED),
        ("other", "tracking", executions.SUCCEEDED),
        (None, "tracking", executions.SUCCEEDED),
    ],
)
def test_a_job_cannot_prepare_a_database_of_azures_own_role(
    management: ManagementApi, made: str | None, asked_for: str, ends: str
) -> None:
    azure = management.azure
    server(azure, authConfig=TOKENS_ALONE)
    if made is not None:
        database(azure, made)
    environment = make(azure, "app:ManagedEnvironment", **PLACED, environmentName="cae")
    env = [
        {"name": "ADMIN", "value": "postgresql://id@psql-one.postgres.database.azure.com:5432/postgres"},
        {"name": "DATABASE", "value": asked_for},
    ]
    container = {"name": "prepare", "image": "acr.azurecr.io/x@sha256:00", "env": env}
    job = make(
        azure,
        "app:Job",
        **PLACED,
        jobName="prepare",
        environmentId=environment["id"],
        configuration={"triggerType": "Manual", "replicaTimeout": 600},
        template={"containers": [container]},
    )
    _, started, _ = management.post(f"{job['id']}/start")
    assert azure.executions[str(started["id"]).lower()]["ends"] == ends
