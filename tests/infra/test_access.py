"""The effective rights of every identity: what is assigned, and what follows from it, is the documented, no more and no
less."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pulumi
import pytest

from components.azure import roles
from components.azure.roles import AzureRole
from components.mlflow.roles import Role
from infra import rights as of_platform
from infra.azure import access
from infra.azure.access import Grant
from tests.support.effective import Access, Escalation, Right
from tests.support.recorder import UNKNOWN
from tests.support.stacks import REPOSITORY, STACKS, graph

DOCUMENT = (REPOSITORY / "docs" / "azure.md").read_text()
# With storage.clientsReachBlob.
SIGNING = Right(who="artifacts", what="STORAGE_BLOB_DELEGATOR", on="account of the artifacts")
WORKFLOWS = ("deploy", "preview")
GITHUB = {"repository": "example/mlflow-platform"}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    section = DOCUMENT.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = section[section.index("\n| ") :].split("\n\n")[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def documented(heading: str = "Rights in a stack") -> set[Right]:
    """Return the rights of the document's table."""
    return {
        Right(who=who, what=what.upper().replace(" ", "_"), on=on)
        for holders, roles_, scopes, *_ in rows(heading)
        for who in holders.split(", ")
        for what in roles_.split(", ")
        for on in _each(scopes)
    }


def _each(scopes: str) -> list[str]:
    kind = scopes.split(" ", 1)[0].removesuffix("s")
    named = re.findall("`([^`]+)`", scopes)
    return [f"{kind} {name}" for name in named] if named else [scopes]


def documented_escalations() -> set[Escalation]:
    """Return what the document says that identities can make of themselves."""
    return {
        Escalation(who=who, gains=f"acts as {gain}" if "acts as" in gains else gain, by=by, steps=int(steps))
        for who, gains, ways, steps in rows("What deploy can make of itself")
        for gain in gains.removeprefix("acts as ").split(", ")
        for by in ways.split("; ")
    }


def escalations(found: Access) -> set[Escalation]:
    return {each for who in found.principals for each in found.escalations(who)}


@pytest.mark.parametrize("stack", STACKS)
def test_every_identity_has_the_documented_rights_alone(stack: str) -> None:
    expected = {each for each in documented() if stack == "prod" or each.who not in WORKFLOWS}
    # AcrPull is one word on Microsoft's page.
    assert Access(graph(stack)).direct() == {_named(each) for each in expected}


def _named(right: Right) -> Right:
    names = {
        "ACRPULL": "ACR_PULL",
        "AZURE_KUBERNETES_SERVICE_CLUSTER_USER_ROLE": "AKS_CLUSTER_USER",
        "AZURE_KUBERNETES_SERVICE_RBAC_CLUSTER_ADMIN": "AKS_CLUSTER_ADMIN",
        "AZURE_KUBERNETES_SERVICE_RBAC_READER": "AKS_READER",
        "ROLE_BASED_ACCESS_CONTROL_ADMINISTRATOR": "RBAC_ADMINISTRATOR",
    }
    return Right(who=right.who, what=names.get(right.what, right.what), on=right.on)


def test_in_a_cluster_every_identity_has_the_documented_rights_alone() -> None:
    found = Access(graph("prod", compute="aks"))
    everywhere = {each for each in map(_named, documented()) if each.what != "ACR_PULL"}
    assert found.direct() == everywhere | {_named(each) for each in documented("Rights in a cluster")}
    # Deploy grants what an `up` grants in either generation, and nothing to itself.
    of_cluster = {(each.what, each.who) for each in found.direct() if each.who.startswith("cluster-")}
    assert of_cluster < found.grantable("deploy")
    assert {who for _, who in found.grantable("deploy") if who.startswith("cluster-")} == {
        "cluster-nodes",
        "cluster-control-blue",
        "cluster-control-green",
    }


def test_two_generations_share_no_resource_but_their_nodes_identity_and_the_name() -> None:
    blue, green = (graph("prod", compute="aks", aks={"generation": each}) for each in ("blue", "green"))
    kinds = ("azure-native:containerservice:", "kubernetes:", "pulumi:providers:kubernetes", "pulumi-python:dynamic")
    of_cluster = [{name for name in each.names if each.type(name).startswith(kinds)} for each in (blue, green)]
    assert len(of_cluster[0]) == len(of_cluster[1]) > 40
    assert {name for name in of_cluster[0] & of_cluster[1] if "image" not in name} == set()
    assignments = "azure-native:authorization:RoleAssignment"
    guids = [
        {name: each.inputs(name)["roleAssignmentName"] for name in each.of_type(assignments)} for each in (blue, green)
    ]
    # A right of one generation alone is another assignment: Azure refuses a second one with the same name.
    only = [set(guids[0]) - set(guids[1]), set(guids[1]) - set(guids[0])]
    assert len(only[0]) == len(only[1]) == 4
    assert {guids[0][name] for name in only[0]}.isdisjoint(guids[1][name] for name in only[1])
    assert blue.inputs("gateway-name-zone-address") != green.inputs("gateway-name-zone-address")


def test_who_writes_artifacts_signs_for_clients_only_if_they_reach_the_account() -> None:
    without = Access(graph("dev")).direct()
    assert Access(graph("dev", storage={"clientsReachBlob": True})).direct() == without | {SIGNING}


def test_deploy_grants_each_identity_its_own_roles_and_no_other_pair() -> None:
    found = Access(graph("prod"))
    of_services = {each for each in found.direct() if each.who not in WORKFLOWS} | {SIGNING}
    pairs = {(each.what, each.who) for each in of_services if each.what in AzureRole.__members__}
    assert found.grantable("deploy") == pairs
    assert {who for who in found.principals if found.grantable(who)} == {"deploy"}


def test_what_identities_can_make_of_themselves_is_documented() -> None:
    assert escalations(Access(graph("prod"))) == documented_escalations()


def test_without_workflows_no_identity_makes_anything_of_itself() -> None:
    assert escalations(Access(graph("dev"))) == set()


Change = Callable[[Mapping[str, Collection[AzureRole]]], str | None]


def _with_a_role_more(grants: Mapping[str, Collection[AzureRole]]) -> str:
    return roles.only_these_grants({who: [*given, AzureRole.CONTRIBUTOR] for who, given in grants.items()})


def _without_principals(grants: Mapping[str, Collection[AzureRole]]) -> str:
    condition = re.sub(r" AND @\w+\[[^]]*PrincipalId\] [^}]*\}", "", roles.only_these_grants(grants))
    assert "PrincipalId" not in condition
    return condition


def _with_each_role_to_each(grants: Mapping[str, Collection[AzureRole]]) -> str:
    every = {role for given in grants.values() for role in given}
    return roles.only_these_grants(dict.fromkeys(grants, every))


MUTATIONS: Mapping[str, tuple[Change, str | None]] = {
    "no condition": (lambda _: None, "grants RBAC_ADMINISTRATOR to itself"),
    "a role more": (_with_a_role_more, None),
    "no principals": (_without_principals, "grants KEY_VAULT_SECRETS_OFFICER to itself"),
    "each role to each identity": (_with_each_role_to_each, None),
}


def without_guardrails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program register what its own rules refuse, to see what it would come to."""
    monkeypatch.setattr("infra.program.enforced", lambda _: contextlib.nullcontext())


@pytest.mark.parametrize(("change", "gained"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_wider_condition_is_seen(
    change: Change, gained: str | None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    without_guardrails(monkeypatch)
    monkeypatch.setattr(access, "only_these_grants", change)
    mutated = Access(graph("dev", github=GITHUB, nameGeneration=f"m{abs(hash(request.node.name)) % 10**6}"))
    original = Access(graph("prod"))
    assert mutated.grantable("deploy") > original.grantable("deploy")
    made_of_itself = escalations(mutated)
    if gained is None:
        assert made_of_itself == documented_escalations()
    else:
        assert gained in {each.gains for each in made_of_itself - documented_escalations()}


def test_a_right_too_many_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_platform, "BLOB_WRITERS", (*of_platform.BLOB_WRITERS, Role.GATEWAY))
    assert Access(graph("dev", nameGeneration="other")).direct() > Access(graph("dev")).direct()


def test_a_broad_role_of_a_service_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is Contributor would become every identity, deploy among them."""
    without_guardrails(monkeypatch)
    assign = roles.assign

    def broad(name: str, **given: Any) -> pulumi.Resource:
        if name == "identity-tracking-artifacts":
            given = {**given, "role": AzureRole.CONTRIBUTOR, "scope": given["scope"].apply(lambda _: "/groups/group")}
        return assign(name, **given)

    monkeypatch.setattr("infra.azure.access.assign", broad)
    found = Access(graph("dev", github=GITHUB, nameGeneration="broad"))
    assert "acts as deploy" in {each.gains for each in found.escalations("tracking")}


def test_the_condition_waits_for_identities_that_do_not_exist_yet() -> None:
    recorded = graph("prod", preview=True)
    assert recorded.inputs("identity-deploy-rbac-administrator")["condition"] is UNKNOWN


def test_grants_are_what_the_condition_is_made_of() -> None:
    """A grant outside of them is one that deploy may not write."""
    assert {*access.grants(clients_reach_blob=False)} < {*access.grants(clients_reach_blob=True)}
    assert all(isinstance(each, Grant) for each in access.grants(clients_reach_blob=True))


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
