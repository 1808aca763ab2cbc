"""AzureRole assignments: ids as Microsoft lists them, names that are stable and never shared."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure.roles import AzureRole, assign, assignment_name, only_these_roles, role_definition_id
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
    record(
        lambda: role_definition_id(pulumi.Output.from_input("s"), AzureRole.ACR_PULL).apply(ids.append), preview=False
    )
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

    condition = only_these_roles([AzureRole.ACR_PULL])
    narrowed = record(lambda: program(condition), preview=preview).inputs("give")
    plain = record(lambda: program(None), preview=preview).inputs("give")
    assert narrowed == {**plain, "condition": condition, "conditionVersion": "2.0"}


WRITE = "Microsoft.Authorization/roleAssignments/write"
DELETE = "Microsoft.Authorization/roleAssignments/delete"
GIVEN = (AzureRole.ACR_PULL, AzureRole.STORAGE_BLOB_DATA_READER)

_TOKEN = re.compile(r"\s*(?:([()!{},])|'([^']*)'|@(\w+)\[([\w./]+):(\w+)\]|([\w:-]+))")


class Condition:
    """Azure's conditions, as far as ours go, by "Azure role assignment condition format and syntax".

    `allows` says whether an action on an assignment is let through, so that a test can ask what a text means.
    """

    def __init__(self, text: str) -> None:
        self._tokens = list(self._read(text))
        self._at = 0

    def allows(self, action: str, *, role: str, principal_type: str) -> bool:
        """An assignment to be made has its attributes in the request, one that is there in the resource."""
        self._at = 0
        self._action = action
        source = "Request" if action.endswith("/write") else "Resource"
        self._attributes = {(source, "RoleDefinitionId"): role, (source, "PrincipalType"): principal_type}
        result = self._any()
        assert self._at == len(self._tokens), f"left over: {self._tokens[self._at :]}"
        return result

    @staticmethod
    def _read(text: str) -> Iterator[tuple[str, ...]]:
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            assert found, f"no token of the grammar: {text[at:]!r}"
            mark, literal, source, kind, attribute, word = found.groups()
            if source:
                assert kind == "Microsoft.Authorization/roleAssignments"
            yield ("'", literal) if literal is not None else ("@", source, attribute) if source else (mark or word,)
            at = found.end()

    def _take(self, *expected: str) -> tuple[str, ...]:
        token = self._tokens[self._at]
        assert not expected or token[0] in expected, f"{token} where one of {expected} belongs"
        self._at += 1
        return token

    def _next(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == word:
            self._at += 1
            return True
        return False

    def _any(self) -> bool:
        result = self._all()
        while self._next("OR"):
            result = self._all() or result
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._next("AND"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._next("!"):
            return not self._one()
        if self._next("("):
            result = self._any()
            self._take(")")
            return result
        if self._next("ActionMatches"):
            return self._action in self._set()
        _, source, attribute = self._take("@")
        operator = self._take("ForAnyOfAnyValues:GuidEquals", "ForAnyOfAnyValues:StringEqualsIgnoreCase")[0]
        values, value = self._set(), self._attributes.get((source, attribute))
        if operator.endswith("GuidEquals"):
            assert all(uuid.UUID(each) for each in values)
        return value is not None and value.lower() in {each.lower() for each in values}

    def _set(self) -> Sequence[str]:
        self._take("{")
        values = [self._take()[-1]]
        while self._next(","):
            values.append(self._take()[-1])
        self._take("}")
        return values


@pytest.mark.parametrize("action", [WRITE, DELETE])
@pytest.mark.parametrize("role", list(AzureRole))
@pytest.mark.parametrize("principal_type", ["ServicePrincipal", "User", "Group", "ForeignGroup", "Device"])
def test_only_the_roles_are_given_and_taken_and_only_to_service_principals(
    action: str, role: AzureRole, principal_type: str
) -> None:
    allowed = Condition(only_these_roles(GIVEN)).allows(action, role=role.value, principal_type=principal_type)
    assert allowed is (role in GIVEN and principal_type == "ServicePrincipal")


def test_what_else_the_role_allows_is_left_alone() -> None:
    reads = "Microsoft.Authorization/roleAssignments/read"
    assert Condition(only_these_roles(GIVEN)).allows(reads, role=AzureRole.CONTRIBUTOR.value, principal_type="User")


def test_the_order_and_repeats_of_the_roles_make_no_other_condition() -> None:
    assert only_these_roles([*GIVEN, *GIVEN]) == only_these_roles(GIVEN[::-1]) == only_these_roles(GIVEN)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([], "roles: none; at least one"),
        ([AzureRole.ACR_PULL, AzureRole.RBAC_ADMINISTRATOR], "could be given on without"),
    ],
)
def test_what_would_let_everything_through_is_refused(roles: Sequence[AzureRole], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        only_these_roles(roles)


CORRUPTIONS: Mapping[str, tuple[str, str]] = {
    "another source": ("@Resource", "@Request"),
    "the first half alone": (DELETE, WRITE),
    "roles or principals": (" AND @Request", " OR @Request"),
    "either half": (")) AND ((", ")) OR (("),
}


@pytest.mark.parametrize("change", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_a_condition_that_means_something_else_is_noticed(change: tuple[str, str]) -> None:
    text = only_these_roles(GIVEN)
    assert change[0] in text

    def meaning(condition: str) -> list[bool]:
        asked = [
            (action, role, kind)
            for action in (WRITE, DELETE)
            for role in AzureRole
            for kind in ("ServicePrincipal", "User")
        ]
        return [Condition(condition).allows(a, role=r.value, principal_type=k) for a, r, k in asked]

    assert meaning(text.replace(*change)) != meaning(text)


@pytest.mark.parametrize("change", [("{'", "'"), ("GuidEquals", "GuidMatches"), (")", ""), (", ", " ")])
def test_a_condition_outside_of_the_grammar_is_noticed(change: tuple[str, str]) -> None:
    broken = Condition(only_these_roles(GIVEN).replace(*change, 1))
    with pytest.raises((AssertionError, IndexError)):
        broken.allows(WRITE, role=GIVEN[0].value, principal_type="ServicePrincipal")
