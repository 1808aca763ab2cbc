"""AzureRole assignments: ids as Microsoft lists them, names that are stable and never shared."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure.roles import AzureRole, assign, assignment_name, only_these_grants, role_definition_id
from tests.support.conditions import DELETE, WRITE, Condition
from tests.support.recorder import SUBSCRIPTION_ID, UNKNOWN, record

SCOPE = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a"
PRINCIPAL = "11111111-2222-3333-4444-555555555555"

scopes = st.text("abcdefghijklmnopqrstuvwxyz0123456789/-", min_size=1).map(lambda tail: f"/s/{tail}".rstrip("/"))
principals = st.uuids().map(str)
roles = st.sampled_from(list(AzureRole))


def test_every_role_id_is_a_guid_and_is_listed_once() -> None:
    assert all(str(uuid.UUID(role.value)) == role.value for role in AzureRole)
    assert len({role.value for role in AzureRole}) == len(AzureRole.__members__)


@given(scopes, principals, roles)
def test_a_name_is_a_guid_that_does_not_depend_on_case(scope: str, principal: str, role: AzureRole) -> None:
    name = assignment_name(scope, principal, role)
    assert str(uuid.UUID(name)) == name
    assert assignment_name(scope.upper() + "/", principal.upper(), role) == name


@given(st.lists(st.tuples(scopes, principals, roles), unique=True, max_size=20))
def test_no_two_assignments_share_a_name(assignments: list[tuple[str, str, AzureRole]]) -> None:
    assert len({assignment_name(*assignment) for assignment in assignments}) == len(assignments)


def test_a_name_stays_what_it_was_in_the_first_release() -> None:
    assert (
        assignment_name(SCOPE, PRINCIPAL, AzureRole.STORAGE_BLOB_DATA_READER) == "488764ef-8e0c-5d14-8fd0-16e847db6ab3"
    )


@pytest.mark.parametrize("preview", [False, True])
def test_an_assignment_of_known_values(preview: bool) -> None:
    class Parent(pulumi.ComponentResource):
        def __init__(self) -> None:
            super().__init__("test:test:Parent", "parent")
            assign(
                "parent-read",
                scope=SCOPE,
                principal_id=PRINCIPAL,
                role=AzureRole.STORAGE_BLOB_DATA_READER,
                subscription_id=SUBSCRIPTION_ID,
                parent=self,
            )
            self.register_outputs({})

    graph = record(Parent, preview=preview)
    assert graph.inputs("parent-read") == {
        "scope": SCOPE,
        "principalId": PRINCIPAL,
        "principalType": "ServicePrincipal",
        "roleAssignmentName": assignment_name(SCOPE, PRINCIPAL, AzureRole.STORAGE_BLOB_DATA_READER),
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.Authorization/roleDefinitions/"
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    }
    assert graph.options("parent-read").parent == "parent"


def test_in_a_preview_the_name_waits_for_a_principal_that_does_not_exist_yet() -> None:
    from pulumi_azure_native import managedidentity

    def program() -> None:
        identity = managedidentity.UserAssignedIdentity("identity", resource_group_name="rg")
        assign(
            "read",
            scope=SCOPE,
            principal_id=identity.principal_id,
            role=AzureRole.READER,
            subscription_id=SUBSCRIPTION_ID,
            parent=identity,
        )

    assert record(program, preview=True).inputs("read")["roleAssignmentName"] is UNKNOWN
    applied = record(program, preview=False).inputs("read")
    assert applied["roleAssignmentName"] == assignment_name(SCOPE, applied["principalId"], AzureRole.READER)


def test_a_definition_id_takes_a_subscription_that_is_an_output() -> None:
    ids: list[str] = []

    def program() -> None:
        definition = role_definition_id(pulumi.Output.from_input("s"), AzureRole.ACR_PULL)
        pulumi.Output.from_input(definition).apply(ids.append)

    record(program, preview=False)
    assert ids == [f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{AzureRole.ACR_PULL.value}"]


@pytest.mark.parametrize("preview", [False, True])
def test_a_condition_goes_with_its_version_and_changes_no_name(preview: bool) -> None:
    def program(condition: str | None) -> None:
        assign(
            "give",
            scope=SCOPE,
            principal_id=PRINCIPAL,
            role=AzureRole.RBAC_ADMINISTRATOR,
            subscription_id=SUBSCRIPTION_ID,
            parent=pulumi.ComponentResource("test:test:Parent", "parent"),
            condition=condition,
        )

    condition = only_these_grants({PRINCIPAL: [AzureRole.ACR_PULL]})
    narrowed = record(lambda: program(condition), preview=preview).inputs("give")
    plain = record(lambda: program(None), preview=preview).inputs("give")
    assert narrowed == {**plain, "condition": condition, "conditionVersion": "2.0"}


READER, WRITER, STRANGER = (f"{digit * 8}-2222-3333-4444-555555555555" for digit in "abc")
GRANTS: Mapping[str, Sequence[AzureRole]] = {
    READER: (AzureRole.ACR_PULL, AzureRole.STORAGE_BLOB_DATA_READER),
    WRITER: (AzureRole.ACR_PULL, AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
}


@pytest.mark.parametrize("action", [WRITE, DELETE])
@pytest.mark.parametrize("role", list(AzureRole))
@pytest.mark.parametrize("principal", [READER, WRITER.upper(), STRANGER])
def test_each_principal_is_granted_and_loses_its_own_roles_alone(action: str, role: AzureRole, principal: str) -> None:
    allowed = Condition(only_these_grants(GRANTS)).allows(action, role=role.value, principal=principal)
    assert allowed is (role in GRANTS.get(principal.lower(), ()))


def test_what_else_the_role_allows_is_left_alone() -> None:
    reads = "Microsoft.Authorization/roleAssignments/read"
    assert Condition(only_these_grants(GRANTS)).allows(reads, role=AzureRole.CONTRIBUTOR.value, principal=STRANGER)


def test_order_and_repeats_make_no_other_condition() -> None:
    turned = {principal: [*roles[::-1], *roles] for principal, roles in reversed(list(GRANTS.items()))}
    assert only_these_grants(turned) == only_these_grants(GRANTS)


@pytest.mark.parametrize(
    ("grants", "message"),
    [
        ({}, "grants: none; at least one"),
        ({READER: []}, "grants: none; at least one"),
        ({READER: [AzureRole.ACR_PULL, AzureRole.RBAC_ADMINISTRATOR]}, "could be granted on without"),
        ({"deploy": [AzureRole.ACR_PULL]}, "'deploy' is no principal's id, which is a GUID"),
        ({str(uuid.UUID(int=n)): [AzureRole.READER] for n in range(120)}, "Azure takes 8192"),
    ],
)
def test_what_would_let_everything_through_is_refused(grants: Mapping[str, Sequence[AzureRole]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        only_these_grants(grants)


CORRUPTIONS: Mapping[str, tuple[str, str]] = {
    "another source": ("@Resource", "@Request"),
    "the first half alone": (DELETE, WRITE),
    "roles or principals": (" AND @Request", " OR @Request"),
    "either half": (")) AND ((", ")) OR (("),
    "one principal for another": (READER, WRITER),
}


@pytest.mark.parametrize("change", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_condition_that_means_something_else_is_noticed(change: tuple[str, str]) -> None:
    text = only_these_grants(GRANTS)
    assert change[0] in text

    def meaning(condition: str) -> list[bool]:
        asked = [
            (action, role, principal)
            for action in (WRITE, DELETE)
            for role in AzureRole
            for principal in (READER, WRITER, STRANGER)
        ]
        return [Condition(condition).allows(a, role=r.value, principal=p) for a, r, p in asked]

    assert meaning(text.replace(*change)) != meaning(text)


@pytest.mark.parametrize("change", [("{'", "'"), ("GuidEquals", "GuidMatches"), (")", ""), (", ", " ")])
def test_a_condition_outside_of_the_grammar_is_noticed(change: tuple[str, str]) -> None:
    broken = Condition(only_these_grants(GRANTS).replace(*change, 1))
    with pytest.raises((AssertionError, IndexError)):
        broken.allows(WRITE, role=AzureRole.ACR_PULL.value, principal=READER)
