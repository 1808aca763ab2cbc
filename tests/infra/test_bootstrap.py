"""The bootstrap stack: who may what, what nobody may, and that the other stacks need no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from components.azure.federated_subject import GITHUB_ISSUER
from components.azure.roles import AzureRole
from components.mlflow.roles import Role
from infra.settings import bootstrap
from infra.settings.problems import SettingsError
from tests.support import arm
from tests.support.conditions import DELETE, WRITE, Condition
from tests.support.effective import STRANGER
from tests.support.recorder import Graph
from tests.support.stacks import ANOTHER_OWNERS, PEER, configuration, graph

SERVED = ("dev", "staging", "prod")
ASSIGNMENT = "azure-native:authorization:RoleAssignment"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
IDENTITY, GROUP = "azure-native:managedidentity:UserAssignedIdentity", "azure-native:resources:ResourceGroup"
ADMINISTRATORS = "00000000-0000-0000-0000-000000000000"
# Who has one of these on a scope may write a federated credential of each identity in it, and so become it.
FEDERATE = (AzureRole.CONTRIBUTOR,)


def principals(recorded: Graph) -> dict[str, str]:
    """The object id of each identity, by the name of its component."""
    names = [name for name in recorded.names if recorded.type(name) == "mlflow:azure:Identity"]
    return {name: str(recorded.outputs(name)["principal_id"]) for name in names}


def rights(recorded: Graph) -> set[tuple[str, AzureRole, str]]:
    """Who has which role on what, by Pulumi names."""
    who = {identifier: name for name, identifier in principals(recorded).items()} | {ADMINISTRATORS: "administrators"}
    found = [recorded.inputs(name) for name in recorded.of_type(ASSIGNMENT)]
    return {
        (who[each["principalId"]], AzureRole(each["roleDefinitionId"][-36:]), each["scope"].rsplit("/", 1)[-1])
        for each in found
    }


def of_stack(stack: str) -> set[tuple[str, AzureRole, str]]:
    """What docs/azure.md says of each stack."""
    state, key = f"state-pulumi-{stack}", f"vault-pulumi-{stack}"
    deploy, preview, group, identities = (f"{stack}-{word}" for word in ("deploy", "preview", "group", "identities"))
    return {
        ("administrators", AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, state),
        ("administrators", AzureRole.KEY_VAULT_CRYPTO_USER, key),
        (deploy, AzureRole.CONTRIBUTOR, group),
        (deploy, AzureRole.RBAC_ADMINISTRATOR, group),
        (deploy, AzureRole.LOCKS_CONTRIBUTOR, group),
        (deploy, AzureRole.MANAGED_IDENTITY_OPERATOR, identities),
        (deploy, AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, state),
        (deploy, AzureRole.KEY_VAULT_CRYPTO_USER, key),
        (deploy, AzureRole.READER, "images-registry"),
        (preview, AzureRole.READER, group),
        (preview, AzureRole.READER, identities),
        (preview, AzureRole.STORAGE_BLOB_DATA_READER, state),
        (preview, AzureRole.KEY_VAULT_CRYPTO_USER, key),
        ("promote", AzureRole.READER, group),
        ("promote", AzureRole.READER, identities),
        ("promote", AzureRole.STORAGE_BLOB_DATA_READER, state),
        ("promote", AzureRole.KEY_VAULT_CRYPTO_USER, key),
    }


def test_everybody_has_the_least_rights_and_no_more() -> None:
    own = {
        ("administrators", AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR, "state-pulumi-bootstrap"),
        ("administrators", AzureRole.KEY_VAULT_CRYPTO_USER, "vault-pulumi-bootstrap"),
        ("build", AzureRole.ACR_PUSH, "images-registry"),
        ("promote", AzureRole.ACR_PULL, "images-registry"),
    }
    assert rights(graph("bootstrap")) == own.union(*(of_stack(stack) for stack in SERVED))


NODES = "00000000-0000-0000-0000-00000000000d"
"""The identity of the nodes of another owner's cluster."""


def in_clusters() -> Graph:
    """Of the stacks prod has a cluster of its own, staging one of another owner, dev none."""
    values = configuration("bootstrap")["bootstrap"]
    return graph("bootstrap", bootstrap={**values, "clusters": {"prod": "own", "staging": NODES}})


def federates(stack: str) -> set[tuple[str, AzureRole, str]]:
    return {(f"{stack}-deploy", AzureRole.IDENTITY_FEDERATION_CONTRIBUTOR, f"{stack}-{role}-identity") for role in Role}


def test_a_stack_in_a_cluster_takes_what_docs_say_and_no_more() -> None:
    """As docs/azure.md has it."""
    looks = (AzureRole.AKS_CLUSTER_USER, AzureRole.AKS_READER)
    runs = {
        (f"prod-cluster-control-{generation}", AzureRole.MANAGED_IDENTITY_OPERATOR, "prod-cluster-nodes-identity")
        for generation in ("blue", "green")
    }
    own = {
        ("prod-deploy", AzureRole.AKS_CLUSTER_ADMIN, "prod-group"),
        *((who, role, "prod-group") for who in ("prod-preview", "promote") for role in looks),
    }
    assert rights(in_clusters()) - rights(graph("bootstrap")) == runs | own | federates("prod") | federates("staging")


def test_deploy_of_a_stack_in_a_cluster_grants_what_an_up_there_does_and_nothing_else() -> None:
    recorded = in_clusters()
    assert grantable(recorded, "dev") == grantable(graph("bootstrap"), "dev")
    for stack, given in (("prod", {}), ("staging", {"existingCluster": ANOTHER_OWNERS})):
        network = {**configuration(stack).get("network", {}), **({"clientNetworks": [PEER]} if given else {})}
        values: dict[str, Any] = {
            "compute": "aks",
            "aks": given,
            "network": network,
            "bootstrappedBy": "bootstrap",
            "github": {},
        }
        made = graph(stack, **values)
        condition = Condition(recorded.inputs(f"{stack}-deploy-group-rbac-administrator")["condition"])
        holders = {identifier: name for name, identifier in principals(made).items()}
        known = principals(recorded)
        for each in (made.inputs(name) for name in made.of_type(ASSIGNMENT)):
            name = holders.get(each["principalId"], "another owner's nodes").removeprefix("identity-")
            principal = known.get(f"{stack}-{name}", NODES)
            assert condition.allows(WRITE, role=each["roleDefinitionId"][-36:], principal=principal), name
            # Its right to grant ends at its own group, and the identities are in another one.
            assert not each["scope"].endswith("-identity"), name
        assert made.of_type(GROUP) + made.of_type(IDENTITY) == []
        # Its pods sign in by an issuer that is known when the cluster is.
        assert {made.inputs(name)["resourceGroupName"] for name in made.of_type(CREDENTIAL)} == {
            f"rg-identities-mlflow-{stack}"
        }
        administers = [role for role in AzureRole if condition.allows(WRITE, role=role.value, principal=STRANGER)]
        assert administers == []


def test_the_identities_of_a_cluster_do_not_go_with_an_edit() -> None:
    """A cluster that runs stops without them."""
    recorded = in_clusters()
    for name in ("nodes", "control-blue", "control-green"):
        assert recorded.options(f"prod-cluster-{name}-identity").protect, name


def grantable(recorded: Graph, stack: str) -> set[tuple[AzureRole, str]]:
    """The roles that a stack's deploy may grant or take away, each with its holder."""
    condition = Condition(recorded.inputs(f"{stack}-deploy-group-rbac-administrator")["condition"])
    everybody = {**principals(recorded), "administrators": ADMINISTRATORS, "a stranger": STRANGER}
    return {
        (role, name)
        for role in AzureRole
        for name, principal in everybody.items()
        for action in (WRITE, DELETE)
        if condition.allows(action, role=role.value, principal=principal)
    }


@pytest.mark.parametrize("stack", SERVED)
def test_deploy_gives_the_services_of_its_stack_their_roles_and_itself_none(stack: str) -> None:
    found = grantable(graph("bootstrap"), stack)
    assert {name for _, name in found} == {f"{stack}-{role}" for role in Role}
    # All that the stack assigns is among them, whatever its file asks for.
    made = graph("dev", bootstrappedBy="bootstrap", storage={"clientsReachBlob": True})
    holders = {identifier: name.removeprefix("identity-") for name, identifier in principals(made).items()}
    assigned = {
        (AzureRole(each["roleDefinitionId"][-36:]), f"{stack}-{holders[each['principalId']]}")
        for each in (made.inputs(name) for name in made.of_type(ASSIGNMENT))
    }
    assert assigned == found


def test_nobody_federates_an_identity_or_reaches_another_stack() -> None:
    recorded = graph("bootstrap")
    groups = {name: recorded.inputs(name)["resourceGroupName"] for name in recorded.of_type(GROUP)}
    holding = {recorded.inputs(name)["resourceGroupName"] for name in recorded.of_type(IDENTITY)}
    assert holding == {groups["group"], *(groups[f"{stack}-identities"] for stack in SERVED)}
    for who, role, scope in rights(recorded):
        assert not (role in FEDERATE and groups.get(scope) in holding), (who, scope)
        stack = who.rpartition("-")[0]
        assert not stack or stack in scope or scope == "images-registry", (who, scope)


def test_workflows_sign_in_from_the_environments_of_their_stack_alone() -> None:
    devops = {"organization": "example", "organizationId": ADMINISTRATORS, "project": "mlflow"}
    values = configuration("bootstrap")["bootstrap"]
    recorded = graph("bootstrap", bootstrap={**values, "stacks": ["dev"], "azureDevops": devops})
    found = {
        (each["resourceName"], each["issuer"], each["subject"])
        for each in (recorded.inputs(name) for name in recorded.of_type(CREDENTIAL))
    }
    holders = {
        "dev": "id-mlflow-dev-deploy",
        "dev-preview": "id-mlflow-dev-preview",
        "build": "id-mlflow-bootstrap-build",
        "promote": "id-mlflow-bootstrap-promote",
    }
    of_github = {
        (holder, GITHUB_ISSUER, f"repo:example/mlflow-platform:environment:{environment}")
        for environment, holder in holders.items()
    }
    issuer = f"https://vstoken.dev.azure.com/{ADMINISTRATORS}"
    of_devops = {
        (holder, issuer, f"sc://example/mlflow/mlflow-{environment}") for environment, holder in holders.items()
    }
    assert found == of_github | of_devops


def test_without_workflows_nobody_signs_in() -> None:
    values = {**configuration("bootstrap")["bootstrap"], "github": None}
    recorded = graph("bootstrap", bootstrap={key: value for key, value in values.items() if value})
    assert recorded.of_type(CREDENTIAL) == []
    assert "build" not in recorded.names


def test_state_is_without_keys_with_versions_and_locked() -> None:
    recorded = graph("bootstrap")
    account, service = recorded.inputs("state-account"), recorded.inputs("state-blob-service")
    assert (account["allowSharedKeyAccess"], account["allowBlobPublicAccess"]) == (False, False)
    assert service["isVersioningEnabled"] is True
    assert (
        service["deleteRetentionPolicy"] == service["containerDeleteRetentionPolicy"] == {"enabled": True, "days": 30}
    )
    assert recorded.dependencies("state-lock") >= {"state-pulumi-dev", "state-pulumi-bootstrap"}
    for name in ("group", "dev-group", "state-account", "state-pulumi-dev", "vault-vault", "images-registry"):
        assert recorded.options(name).protect, name
    assert recorded.inputs("vault-pulumi-dev")["properties"] == {
        "kty": "RSA",
        "keySize": 3072,
        "keyOps": ["encrypt", "decrypt"],
    }


@arm.needs_schemas
def test_every_body_is_one_that_azure_takes() -> None:
    recorded = graph("bootstrap")
    names = [name for name in recorded.names if recorded.type(name).startswith("azure-native:")]
    assert len(names) > 90
    assert {name: found for name in names if (found := arm.faults(recorded.type(name), recorded.inputs(name)))} == {}


def test_a_stack_that_is_bootstrapped_makes_neither_group_nor_identity() -> None:
    made = graph("dev", bootstrappedBy="bootstrap")
    assert made.of_type(GROUP) + made.of_type(IDENTITY) + made.of_type(CREDENTIAL) == []


WRONG: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a cluster of nobody": ({"clusters": {"test": "own"}}, "allowed: stacks of bootstrap.stacks"),
    "a cluster without its nodes": ({"clusters": {"dev": "theirs"}}, "bootstrap.clusters.dev: 'theirs' is not allowed"),
    "no stack": ({"stacks": []}, "bootstrap.stacks: [] is not allowed"),
    "itself": ({"stacks": ["bootstrap"]}, "allowed: names without bootstrap, each once"),
    "twice": ({"stacks": ["dev", "dev"]}, "each once"),
    "a name": ({"stacks": ["Dev"]}, "bootstrap.stacks[0]: 'Dev' is not allowed"),
    "a reserved word": ({"stacks": ["windows"]}, "which Azure reserves"),
    "no group": ({"administrators": "admins"}, "bootstrap.administrators: 'admins' is not allowed"),
    "another repository": ({"github": "mallory/mlflow"}, "whose workflow runs this program"),
    "an unknown key": ({"people": []}, "bootstrap.people: [] is not allowed"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings_are_refused(change: Mapping[str, Any], said: str) -> None:
    values = configuration("bootstrap")
    wrong = {**values, "bootstrap": {**values["bootstrap"], **change}}
    with pytest.raises(SettingsError) as error:
        bootstrap.parse(wrong, "bootstrap", checkout="example/mlflow-platform")
    assert said in str(error.value)


def test_settings_of_services_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"database: .* is not allowed; allowed: the keys .* with profile bootstrap"
    ):
        bootstrap.parse({**configuration("bootstrap"), "database": {"sku": "x"}}, "bootstrap")
