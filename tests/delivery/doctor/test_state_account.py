"""Who may write the state, asked of a small stand-in that knows these calls alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.azure.arm import Arm
from delivery.doctor import state_account
from delivery.doctor.missing import Missing
from delivery.doctor.state_account import API_VERSION, Assignment, StateAccount, ask
from tests.support.arm_server import ArmServer

ROOT = "/subscriptions/0"
GROUP = f"{ROOT}/resourceGroups/rg-mlflow-bootstrap"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st1"
CONTAINER = f"{ACCOUNT}/blobServices/default/containers/pulumi-prod"
ROLES = f"{CONTAINER}/providers/Microsoft.Authorization/roleAssignments"
WRITES = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READS = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"


def role(number: int, definition: str, scope: str) -> dict[str, Any]:
    values = {"principalId": f"p{number}", "principalType": "User", "scope": scope}
    values["roleDefinitionId"] = f"{ROOT}/providers/Microsoft.Authorization/roleDefinitions/{definition.upper()}"
    return {"id": f"{ROLES}/{number}", "properties": values}


class Management(ArmServer):
    """A subscription with the account of the state on the second page of the list."""

    def __init__(self) -> None:
        super().__init__()
        accounts = f"{ROOT}/providers/Microsoft.Storage/storageAccounts"
        identity = {"name": "id-mlflow-prod-deploy", "properties": {"principalId": "p1"}}
        self.account: dict[str, Any] = {"name": "st1", "id": ACCOUNT, "properties": {"allowSharedKeyAccess": False}}
        self.answers = {
            accounts: {"value": [], "nextLink": f"{self.url}{accounts}/more?api-version=1"},
            f"{accounts}/more": {"value": [{"name": "st2", "id": "x"}, self.account]},
            f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities": {"value": [identity]},
            ROLES: {
                "value": [
                    role(1, WRITES, CONTAINER),
                    role(2, READS, CONTAINER),
                    role(3, WRITES, ROOT),
                    role(4, OWNER, GROUP),
                    role(5, OWNER, ROOT),
                ]
            },
        }


@pytest.fixture
def management() -> Iterator[Management]:
    server = Management()
    with server.serving():
        yield server


@pytest.fixture
def arm(management: Management) -> Arm:
    return Arm(api_version=API_VERSION, endpoint=management.url, token=lambda _: "token", patience=0)


def test_who_writes_on_the_container_and_above_it(arm: Arm) -> None:
    writes = "Storage Blob Data Contributor"
    assert ask(arm, "0", "st1", "pulumi-prod") == StateAccount(
        id=ACCOUNT,
        container="pulumi-prod",
        shared_keys=False,
        assignments=[
            Assignment(id=f"{ROLES}/1", role=writes, principal="p1", kind="User"),
            Assignment(id=f"{ROLES}/3", role=writes, principal="p3", kind="User"),
            Assignment(id=f"{ROLES}/4", role="Owner", principal="p4", kind="User"),
        ],
        identities={"id-mlflow-prod-deploy": "p1"},
    )


def test_an_account_that_does_not_say_so_has_keys(management: Management, arm: Arm) -> None:
    management.account["properties"] = {}
    found = ask(arm, "0", "st1", "pulumi-prod")
    assert isinstance(found, StateAccount)
    assert found.shared_keys


def test_what_azure_does_not_say_is_not_known(management: Management, arm: Arm) -> None:
    assert ask(arm, "0", "st9", "pulumi-prod") == Missing(
        "subscription 0 shows no storage account st9 to who is signed in"
    )
    del management.answers[ROLES]
    found = ask(arm, "0", "st1", "pulumi-prod")
    assert isinstance(found, Missing)
    assert "404" in found.reason


@pytest.mark.parametrize(
    ("backend", "environ", "asked"),
    [
        ("azblob://pulumi-prod?storage_account=st1", {}, ("st1", "pulumi-prod")),
        ("azblob://pulumi-prod", {"AZURE_STORAGE_ACCOUNT": "st2"}, ("st2", "pulumi-prod")),
        ("azblob://pulumi-prod", {}, None),
        ("file:///state", {"AZURE_STORAGE_ACCOUNT": "st2"}, None),
    ],
)
def test_the_backend_names_the_account(
    backend: str, environ: dict[str, str], asked: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def noted(_: Arm, __: str, *names: str) -> Missing:
        calls.append(names)
        return Missing("asked")

    monkeypatch.setattr(state_account, "ask", noted)
    found = state_account.signed_in("https://azure.example", "0", backend, environ)
    assert isinstance(found, Missing)
    assert calls == ([asked] if asked else [])
