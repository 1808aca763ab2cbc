"""The effective rights of every identity: what is assigned is this table, no more and no less."""

from __future__ import annotations

import pytest

from components.azure.roles import AzureRole
from components.mlflow.roles import Role
from infra import rights as of_platform
from tests.support.recorder import Graph
from tests.support.stacks import STACKS, graph

RIGHTS = {
    ("gateway", "ACR_PULL", "registry"),
    ("tracking", "ACR_PULL", "registry"),
    ("tracking", "STORAGE_BLOB_DATA_READER", "artifact container"),
    ("tracking", "KEY_VAULT_SECRETS_USER", "secret webhook-encryption-key"),
    ("tracking", "KEY_VAULT_SECRETS_USER", "secret crypto-kek-passphrase"),
    ("registry", "ACR_PULL", "registry"),
    ("registry", "STORAGE_BLOB_DATA_READER", "artifact container"),
    ("registry", "KEY_VAULT_SECRETS_USER", "secret webhook-encryption-key"),
    ("artifacts", "ACR_PULL", "registry"),
    ("artifacts", "STORAGE_BLOB_DATA_CONTRIBUTOR", "artifact container"),
    ("prepare", "ACR_PULL", "registry"),
    ("prepare", "KEY_VAULT_SECRETS_OFFICER", "vault"),
}
# With storage.clientsReachBlob.
SIGNING = ("artifacts", "STORAGE_BLOB_DELEGATOR", "account of the artifacts")
WORKFLOW_RIGHTS = {
    ("deploy", "CONTRIBUTOR", "resource group"),
    ("deploy", "RBAC_ADMINISTRATOR", "resource group"),
    ("deploy", "LOCKS_CONTRIBUTOR", "resource group"),
    ("preview", "READER", "resource group"),
}
GITHUB = {"repository": "example/mlflow-platform"}


def rights(recorded: Graph) -> set[tuple[str, str, str]]:
    """Holder, role and scope of each assignment, in words."""
    found = set()
    for name in recorded.of_type("azure-native:authorization:RoleAssignment"):
        values = recorded.inputs(name)
        assert values["principalType"] == "ServicePrincipal"
        role = AzureRole(values["roleDefinitionId"].rsplit("/", 1)[-1])
        found.add((holder(recorded, values["principalId"]), role.name, scope(values["scope"])))
    return found


def holder(recorded: Graph, principal_id: str) -> str:
    """Whose identity it is, by the component's name."""
    components = [name for name in recorded.names if recorded.type(name) == "mlflow:azure:Identity"]
    (found,) = [name for name in components if recorded.outputs(name)["principal_id"] == principal_id]
    return found.removeprefix("identity-")


def scope(identifier: str) -> str:
    if "/secrets/" in identifier:
        return f"secret {identifier.rsplit('/', 1)[-1]}"
    last = {
        "images-registry": "registry",
        "store-container": "artifact container",
        "store-account": "account of the artifacts",
        "vault-vault": "vault",
        "group": "resource group",
    }
    return last[identifier.rsplit("/", 1)[-1]]


@pytest.mark.parametrize("stack", STACKS)
def test_every_identity_has_these_rights_alone(stack: str) -> None:
    workflows = stack == "prod"
    assert rights(graph(stack)) == RIGHTS | (WORKFLOW_RIGHTS if workflows else set())


def test_who_writes_artifacts_signs_for_clients_only_if_they_reach_the_account() -> None:
    assert rights(graph("dev", storage={"clientsReachBlob": True})) == RIGHTS | {SIGNING}


def test_a_right_too_many_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_platform, "BLOB_WRITERS", (*of_platform.BLOB_WRITERS, Role.GATEWAY))
    assert rights(graph("dev", nameGeneration="other")) != RIGHTS


def test_the_database_is_administered_by_prepare_alone() -> None:
    recorded = graph("prod")
    (name,) = recorded.of_type("azure-native:dbforpostgresql:AdministratorsMicrosoftEntra")
    assert holder(recorded, recorded.inputs(name)["objectId"]) == "prepare"


def test_the_deploying_workflow_gives_only_the_roles_of_the_platform() -> None:
    recorded = graph("dev", github=GITHUB)
    condition = next(
        recorded.inputs(name)["condition"]
        for name in recorded.of_type("azure-native:authorization:RoleAssignment")
        if recorded.inputs(name)["roleDefinitionId"].endswith(AzureRole.RBAC_ADMINISTRATOR)
    )
    for role in AzureRole:
        given = {right[1] for right in RIGHTS | {SIGNING}}
        assert (role.value in condition) is (role.name in given), role.name


def test_workflows_sign_in_from_two_environments_of_the_repository() -> None:
    recorded = graph("dev", github=GITHUB)
    subjects = {
        recorded.inputs(name)["subject"]
        for name in recorded.of_type("azure-native:managedidentity:FederatedIdentityCredential")
    }
    assert subjects == {
        "repo:example/mlflow-platform:environment:dev",
        "repo:example/mlflow-platform:environment:dev-preview",
    }
