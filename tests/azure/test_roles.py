"""Role assignments: ids as Microsoft lists them, names that are stable and never shared."""

from __future__ import annotations

import uuid

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure.roles import Role, assign, assignment_name, role_definition_id
from tests.azure.recorder import SUBSCRIPTION_ID, UNKNOWN, record

SCOPE = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a"
PRINCIPAL = "11111111-2222-3333-4444-555555555555"

scopes = st.text("abcdefghijklmnopqrstuvwxyz0123456789/-", min_size=1).map(lambda tail: f"/s/{tail}".rstrip("/"))
principals = st.uuids().map(str)
roles = st.sampled_from(list(Role))


def test_every_role_id_is_a_guid_and_is_listed_once() -> None:
    assert all(str(uuid.UUID(role.value)) == role.value for role in Role)
    assert len({role.value for role in Role}) == len(Role.__members__)


@given(scopes, principals, roles)
def test_a_name_is_a_guid_that_does_not_depend_on_case(scope: str, principal: str, role: Role) -> None:
    name = assignment_name(scope, principal, role)
    assert str(uuid.UUID(name)) == name
    assert assignment_name(scope.upper() + "/", principal.upper(), role) == name


@given(st.lists(st.tuples(scopes, principals, roles), unique=True, max_size=20))
def test_no_two_assignments_share_a_name(assignments: list[tuple[str, str, Role]]) -> None:
    assert len({assignment_name(*assignment) for assignment in assignments}) == len(assignments)


def test_a_name_stays_what_it_was_in_the_first_release() -> None:
    assert assignment_name(SCOPE, PRINCIPAL, Role.STORAGE_BLOB_DATA_READER) == "488764ef-8e0c-5d14-8fd0-16e847db6ab3"


@pytest.mark.parametrize("preview", [False, True])
def test_an_assignment_of_known_values(preview: bool) -> None:
    class Parent(pulumi.ComponentResource):
        def __init__(self) -> None:
            super().__init__("test:test:Parent", "parent")
            assign(
                "parent-read",
                scope=SCOPE,
                principal_id=PRINCIPAL,
                role=Role.STORAGE_BLOB_DATA_READER,
                subscription_id=SUBSCRIPTION_ID,
                parent=self,
            )
            self.register_outputs({})

    graph = record(Parent, preview=preview)
    assert graph.inputs("parent-read") == {
        "scope": SCOPE,
        "principalId": PRINCIPAL,
        "principalType": "ServicePrincipal",
        "roleAssignmentName": assignment_name(SCOPE, PRINCIPAL, Role.STORAGE_BLOB_DATA_READER),
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
            role=Role.READER,
            subscription_id=SUBSCRIPTION_ID,
            parent=identity,
        )

    assert record(program, preview=True).inputs("read")["roleAssignmentName"] is UNKNOWN
    applied = record(program, preview=False).inputs("read")
    assert applied["roleAssignmentName"] == assignment_name(SCOPE, applied["principalId"], Role.READER)


def test_a_definition_id_takes_a_subscription_that_is_an_output() -> None:
    ids: list[str] = []
    record(lambda: role_definition_id(pulumi.Output.from_input("s"), Role.ACR_PULL).apply(ids.append), preview=False)
    assert ids == [f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{Role.ACR_PULL.value}"]
