"""What the engine's JSON leaves out or says twice, and is put right when it is read."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.azure.roles import AzureRole, assignment_name
from delivery.preview.differences import ABSENT, between, of
from delivery.preview.fingerprint import fingerprint
from delivery.preview.markdown import markdown
from delivery.preview.plan import Op, Plan, PlanError, read
from delivery.preview.reasons import Subject, Verdict
from delivery.preview.report import report
from delivery.preview.text import plain
from tests.support.previews import preview, same, step, urn

ACCOUNT = "storage:StorageAccount"
SERVER = "dbforpostgresql:Server"
RULES = "network:NetworkSecurityGroup"


def changed(**after: Any) -> dict[str, Any]:
    return preview(
        same(SERVER, "postgres-server", {"serverName": "psql"}, protect=(True, True)),
        step("update", ACCOUNT, "store-account", {"accountName": "st", "sku": 1}, {"accountName": "st", **after}),
    )


def paths(plan: Plan) -> list[str]:
    return [one.path for step in plan.changes for one in of(step)]


def test_a_step_has_its_kind_its_name_and_both_states() -> None:
    plan = read(changed(sku=2))
    assert plan.stack == "prod"
    (found,) = plan.changes
    assert (found.op, found.kind, found.name) == (Op.UPDATE, ACCOUNT, "store-account")
    assert (found.old["sku"], found.new["sku"]) == (1, 2)
    assert len(plan.steps) == 2


def test_components_and_the_engines_own_resources_are_left_out() -> None:
    component = {"op": "create", "urn": "urn:pulumi:prod::p::mlflow:azure:Postgres::postgres"}
    document = preview(
        {**component, "newState": {"type": "mlflow:azure:Postgres", "custom": False}},
        step("create", "pulumi:providers:azure-native", "default", None, {}),
        step("create", ACCOUNT, "store-account", None, {}),
    )
    assert [found.name for found in read(document).steps] == ["store-account"]


def test_the_steps_of_one_replacement_are_one() -> None:
    names = ({"accountName": "a"}, {"accountName": "b"})
    document = preview(
        step("create-replacement", ACCOUNT, "store-account", *names),
        step("replace", ACCOUNT, "store-account", *names, reasons=["accountName"]),
        step("delete-replaced", ACCOUNT, "store-account", names[0]),
    )
    (found,) = read(document).steps
    assert found.op is Op.REPLACE
    assert found.because == ("accountName",)


def test_what_an_earlier_update_left_to_delete_is_a_change() -> None:
    document = preview(step("delete-replaced", ACCOUNT, "store-account", {}), same(SERVER, "postgres-server"))
    (found,) = read(document).changes
    assert found.op is Op.PENDING


def test_what_is_left_to_delete_is_seen_beside_a_change_of_its_successor() -> None:
    document = preview(
        step("delete-replaced", ACCOUNT, "store-account", {"accountName": "a"}),
        step("update", ACCOUNT, "store-account", {"accountName": "b"}, {"accountName": "b", "tags": {}}),
    )
    assert [found.op for found in read(document).changes] == [Op.UPDATE, Op.PENDING]


def test_protection_that_ends_is_found_on_what_stays() -> None:
    plan = read(preview(same(ACCOUNT, "store-account", protect=(True, False))))
    assert plan.steps[0].loses_protection
    assert fingerprint(plan) != fingerprint(read(preview(same(ACCOUNT, "store-account", protect=(True, True)))))


def test_the_engines_errors_are_read_and_not_its_traceback() -> None:
    document = preview(errors=["the stack is locked"])
    document["diagnostics"].append({"severity": "info#err", "message": "Traceback (most recent call last):"})
    assert read(document).errors == ("the stack is locked",)


@pytest.mark.parametrize("document", [[], "text", {"steps": "no"}, None], ids=repr)
def test_what_is_no_preview_is_refused(document: object) -> None:
    with pytest.raises(PlanError, match="pulumi preview --json --show-sames"):
        read(document)


def test_a_preview_without_what_stays_is_refused() -> None:
    document = changed(sku=2)
    document["changeSummary"]["same"] = 40
    with pytest.raises(PlanError, match="leaves out what stays"):
        read(document)


def test_the_fingerprint_is_the_same_whatever_the_order_and_the_times() -> None:
    edges = {"subnet": [urn("network:Subnet", "a"), urn("network:Subnet", "b")]}
    first = preview(
        step("update", ACCOUNT, "store-account", {"sku": 1}, {"sku": 2}, depends_on=edges, source="project:///a.py#1"),
        step("create", SERVER, "postgres-server", None, {"serverName": "psql"}),
        same(RULES, "rules"),
    )
    second = copy.deepcopy(first)
    random.Random(1).shuffle(second["steps"])
    for raw in second["steps"]:
        for state in (raw.get("oldState", {}), raw.get("newState", {})):
            state["created"] = "2027-01-01T00:00:00Z"
            state["sourcePosition"] = "project:///b.py#7"
            state["outputs"] = {"id": "another"}
            state.get("dependencies", []).reverse()
    assert first != second
    assert fingerprint(read(first)) == fingerprint(read(second))


@pytest.mark.parametrize(
    "other",
    [
        changed(sku=3),
        changed(sku=2, kind="new"),
        preview(step("update", ACCOUNT, "another", {"sku": 1}, {"sku": 2})),
        preview(step("replace", ACCOUNT, "store-account", {"sku": 1}, {"sku": 2}, reasons=["sku"])),
        preview(),
    ],
    ids=["value", "property", "resource", "operation", "nothing"],
)
def test_another_plan_has_another_fingerprint(other: dict[str, Any]) -> None:
    assert fingerprint(read(other)) != fingerprint(read(changed(sku=2)))


def test_a_dynamic_resource_differs_by_its_inputs_without_the_programs_own_code() -> None:
    kind = "pulumi-python:dynamic/container_apps:JobExecution"
    document = preview(
        step("update", kind, "prepare", {"__provider": "old", "image": "a"}, {"__provider": "new", "image": "b"})
    )
    assert paths(read(document)) == ["image"]


def test_one_more_item_of_a_list_is_one_difference() -> None:
    rules = [{"name": "a", "port": 1}, {"name": "b", "port": 2}]
    more = [rules[0], {"name": "new", "port": 3}, rules[1]]
    document = preview(step("update", RULES, "rules", {"securityRules": rules}, {"securityRules": more}))
    assert paths(read(document)) == ["securityRules[new]"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({}, {"a": [1]}, [("a", ABSENT, [1])]),
        ({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, [("a[0].x", 1, 2)]),
        ({"a": ["x"]}, {"a": ["y"]}, [("a", ["x"], ["y"])]),
        # Twice the same name: items cannot be kept apart by it.
        (
            {"a": [{"name": "x", "v": 1}, {"name": "x"}]},
            {"a": [{"name": "x", "v": 2}, {"name": "x"}]},
            [("a[0].v", 1, 2)],
        ),
        ({"a": {"b": 1}}, {"a": UNKNOWN}, [("a", {"b": 1}, UNKNOWN)]),
        ({"a": 1}, {"a": 1}, []),
    ],
    ids=str,
)
def test_differences_are_as_deep_as_possible(before: Any, after: Any, expected: list[Any]) -> None:
    assert [(one.path, one.before, one.after) for one in between(before, after)] == expected


IDENTITY, RIGHT = "managedidentity:UserAssignedIdentity", "authorization:RoleAssignment"
PRINCIPAL = "11111111-1111-1111-1111-111111111111"
GRANTED = {
    "principalId": PRINCIPAL,
    "roleAssignmentName": assignment_name("/registry", PRINCIPAL, AzureRole.ACR_PULL),
    "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{AzureRole.ACR_PULL.value}",
    "scope": "/registry",
}


def tagged(op: str, **after: str) -> dict[str, Any]:
    """An identity whose tags change, with a right of it, as azure-native previews both."""
    new = {**GRANTED, "principalId": UNKNOWN, "roleAssignmentName": UNKNOWN, **after}
    source = [urn(IDENTITY, "tracking")]
    why = [key for key in new if new[key] != GRANTED[key]]
    taken = {"principalId": source, "roleAssignmentName": source}
    return preview(
        tags_of(IDENTITY, "tracking", op=op, principalId=PRINCIPAL, clientId="1"),
        step("replace", RIGHT, "pulls", GRANTED, new, reasons=why, depends_on=taken),
    )


def tags_of(kind: str, name: str, *, op: str = "update", **outputs: Any) -> dict[str, Any]:
    """A resource whose tags change, with what Azure computed for it."""
    reasons = ["location"] if op == "replace" else []
    return step(op, kind, name, {"tags": 1}, {"tags": 2}, reasons=reasons, outputs=outputs)


def test_what_azure_computed_stays_where_its_resource_is_updated_in_place() -> None:
    """A right of it is no replacement, which under a lock would be a refusal."""
    found = {one.name: one for one in read(tagged("update")).steps}
    assert (found["tracking"].op, found["pulls"].op) == (Op.UPDATE, Op.SAME)
    assert found["pulls"].new == found["pulls"].old


def test_another_output_of_what_is_updated_looks_the_same_so_the_report_says_that_nobody_knows() -> None:
    """The program may take the identity's client id from now on, which the engine shows as unknown too."""
    plan = read(tagged("update"))
    (pulls,) = plan.awaiting
    assert pulls.awaits == ("principalId", "roleAssignmentName")
    found = report(plan)
    assert (found.verdict, found.unknowns, found.awaiting, found.counts) == (Verdict.ROUTINE, 1, 1, {"update": 1})
    words = {change.names[0]: plain(change.what) for change in found.changes}
    assert words["pulls"] == "known after the update: principalId, roleAssignmentName"
    (row,) = (one for one in found.rows if one.subject is Subject.RIGHTS)
    assert (row.what, plain(row.after)) == ("1 right of updated resources", "known after the update")
    assert "rights" not in plain(found.unchanged)
    assert "1 takes an output of a resource that is updated: the value stays, unless the program" in markdown(found)
    assert fingerprint(plan) != fingerprint(read(preview(tags_of(IDENTITY, "tracking"), same(RIGHT, "pulls", GRANTED))))


def test_what_changes_and_awaits_a_value_says_both() -> None:
    source = {"env": [urn(IDENTITY, "tracking")]}
    app = step(
        *("update", "app:ContainerApp", "app", {"env": "1", "cpu": 1}, {"env": UNKNOWN, "cpu": 2}), depends_on=source
    )
    found = report(read(preview(tags_of(IDENTITY, "tracking", clientId="1"), app)))
    words = {change.names[0]: plain(change.what) for change in found.changes}
    assert words["app"] == "cpu: 1 → 2; known after the update: env"


@pytest.mark.parametrize(("image", "op"), [("a", Op.SAME), ("b", Op.REPLACE)])
def test_a_part_that_is_not_known_yet_replaces_nothing_alone(image: str, op: Op) -> None:
    job, identity = "kubernetes:batch/v1:Job", [urn(IDENTITY, "prepare")]
    before, after = (
        {"spec": {"containers": [{"image": of, "env": env}]}} for of, env in (("a", "1"), (image, UNKNOWN))
    )
    replaced = step(
        "replace", job, "run", before, after, reasons=["spec.containers[0].env"], depends_on={"spec": identity}
    )
    document = preview(tags_of(IDENTITY, "prepare", clientId="1"), replaced)
    assert {one.name: one.op for one in read(document).steps}["run"] is op


@pytest.mark.parametrize(
    ("kind", "op"), [("app:ContainerApp", Op.SAME), ("pulumi-python:dynamic/aks:RolledOut", Op.UPDATE)]
)
def test_only_a_dynamic_resource_may_be_updated_for_what_is_new(kind: str, op: Op) -> None:
    source = {"env": [urn(IDENTITY, "tracking")]}
    waiting = step("update", kind, "waiting", {"env": "1"}, {"env": UNKNOWN}, depends_on=source)
    found = read(preview(tags_of(IDENTITY, "tracking", clientId="1"), waiting))
    assert {one.name: one.op for one in found.steps}["waiting"] is op


@pytest.mark.parametrize("op", [Op.UPDATE, Op.REPLACE])
@pytest.mark.parametrize("kind", ["app:ContainerApp", "kubernetes:batch/v1:Job"])
def test_a_value_that_is_built_from_a_computed_one_may_have_changed(kind: str, op: Op) -> None:
    """The engine shows nothing of `concat(login_server, "/mlflow@sha256:...")`, the digest that the program changed."""
    registry = "containerregistry:Registry"
    before, after = ({"template": {"containers": [{"image": of}]}} for of in ("cr.azurecr.io/mlflow@sha256:1", UNKNOWN))
    app = step(
        *(op.value, kind, "tracking", before, after),
        reasons=["template.containers[0].image"] if op is Op.REPLACE else [],
        depends_on={"template": [urn(registry, "images")]},
    )
    plan = read(preview(tags_of(registry, "images", loginServer="cr.azurecr.io"), app))
    found = next(one for one in plan.steps if one.name == "tracking")
    assert found.op is op
    assert found.new == after


def test_the_condition_of_a_right_may_have_changed() -> None:
    """It is built from principals, and says what deploy may grant."""
    document = tagged("update")
    right = document["steps"][-1]
    right["oldState"]["inputs"]["condition"] = f"of {PRINCIPAL}"
    right["newState"]["inputs"]["condition"] = UNKNOWN
    for state in ("oldState", "newState"):
        right[state]["propertyDependencies"]["condition"] = [urn(IDENTITY, "tracking")]
    found = next(one for one in read(document).steps if one.name == "pulls")
    assert (found.op, found.new["condition"], found.new["principalId"]) == (Op.UPDATE, UNKNOWN, PRINCIPAL)


def test_what_was_given_before_or_comes_from_another_resource_may_change() -> None:
    source, other = [urn(IDENTITY, "tracking")], [urn(IDENTITY, "registry")]
    for taken, given in (([], "1"), (other, "1"), (source, "[secret]"), (source, "westeurope")):
        waiting = step(
            "update", "app:ContainerApp", "app", {"env": given}, {"env": UNKNOWN}, depends_on={"env": source}
        )
        waiting["oldState"] = {**waiting["oldState"], "propertyDependencies": {"env": taken}}
        identity = step(
            *("update", IDENTITY, "tracking", {"location": "westeurope", "tags": 1}),
            {"location": "westeurope", "tags": 2},
            outputs={"clientId": "1", "secret": "[secret]", "location": "westeurope"},
        )
        found = read(preview(identity, same(IDENTITY, "registry", outputs={"clientId": "1"}), waiting))
        assert {one.name: one.op for one in found.steps}["app"] is Op.UPDATE


def test_what_is_replaced_is_another_one_for_what_takes_a_value_of_it() -> None:
    assert {one.name: one.op for one in read(tagged("replace")).steps}["pulls"] is Op.REPLACE
    assert {one.name: one.op for one in read(tagged("update", scope="/vault")).steps}["pulls"] is Op.REPLACE
    other = AzureRole.ACR_PUSH.value
    assert {one.name: one.op for one in read(tagged("update", roleDefinitionId=other)).steps}["pulls"] is Op.REPLACE


def test_what_takes_a_value_of_what_stays_stays_too() -> None:
    zone, record = "privatedns:PrivateZone", "privatedns:PrivateRecordSet"
    environment, named = "app:ManagedEnvironment", {"privateZoneName": UNKNOWN}
    document = preview(
        tags_of(environment, "apps", defaultDomain="a"),
        *(
            step(
                *("replace", kind, name, {"privateZoneName": "a"}, named),
                reasons=["privateZoneName"],
                depends_on={"privateZoneName": [urn(*source)]},
                outputs={"privateZoneName": "a"},
            )
            for kind, name, source in ((zone, "zone", (environment, "apps")), (record, "any", (zone, "zone")))
        ),
    )
    assert {one.name: one.op for one in read(document).steps} == {"apps": Op.UPDATE, "zone": Op.SAME, "any": Op.SAME}
