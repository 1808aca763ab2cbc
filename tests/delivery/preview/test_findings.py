"""What a person is reported of a plan, by small previews: each finding, and that it is silent where it has no cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.azure.roles import AzureRole
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.preview.causes import causes
from delivery.preview.findings.rights import MAY
from delivery.preview.plan import read
from delivery.preview.reasons import Subject, Verdict
from delivery.preview.report import Report, report
from delivery.preview.text import plain
from tests.support.previews import preview, same, step, urn

ACCOUNT, CONTAINER = "storage:StorageAccount", "storage:BlobContainer"
SERVER, GROUP, VNET = "dbforpostgresql:Server", "resources:ResourceGroup", "network:VirtualNetwork"
RULES, SUBNET, LOCK = "network:NetworkSecurityGroup", "network:Subnet", "authorization:ManagementLockByScope"
ASSIGNMENT, IDENTITY = "authorization:RoleAssignment", "managedidentity:UserAssignedIdentity"
APP = "app:ContainerApp"
BOTH = (True, True)
_GROUP_ID = "/subscriptions/0/resourceGroups/rg"
_ACCOUNT_ID = f"{_GROUP_ID}/providers/Microsoft.Storage/storageAccounts/st"
_CONTAINER_ID = f"{_ACCOUNT_ID}/blobServices/default/containers/mlflow"


def of(*steps: Any, errors: Any = ()) -> Report:
    return report(read(preview(*steps, errors=errors)))


def said(found: Report, subject: Subject) -> list[str]:
    return [plain(reason.phrase) for reason in found.reasons if reason.subject is subject]


def rows(found: Report, subject: Subject) -> list[tuple[str, str, str]]:
    return [(plain([r.what]), plain(r.now), plain(r.after)) for r in found.rows if r.subject is subject]


def assignment(op: str, role: AzureRole, scope: str = _CONTAINER_ID, **more: Any) -> dict[str, Any]:
    inputs = {"principalId": "p", "roleDefinitionId": f"/x/{role.value}", "scope": scope}
    before = None if op == "create" else more.pop("before", inputs)
    after = None if op == "delete" else inputs
    depends_on = {"principalId": [urn(IDENTITY, "identity-tracking-identity")], "scope": [urn(CONTAINER, "container")]}
    return step(op, ASSIGNMENT, "identity-tracking-artifacts", before, after, depends_on=depends_on, **more)


TRACKING = same(IDENTITY, "identity-tracking-identity", {"resourceName": "id-tracking"})
STORE = same(CONTAINER, "container", {"accountName": "st", "containerName": "mlflow"})


def test_nothing_changes() -> None:
    found = of(same(ACCOUNT, "store-account"))
    assert (found.verdict, list(found.reasons), list(found.rows)) == (Verdict.NO_CHANGE, [], [])


def test_a_tag_is_routine() -> None:
    names = ("a", "b")
    tagged = [step("update", ACCOUNT, name, {"tags": {"owner": "x"}}, {"tags": {"owner": "y"}}) for name in names]
    found = of(*tagged)
    assert found.verdict is Verdict.ROUTINE
    assert plain(found.title) == "tag owner of 2 resources"
    assert len(found.changes) == 1  # both are reported together


def test_the_cause_of_a_replacement_and_its_followers_are_described_once() -> None:
    group = urn(GROUP, "group")
    steps = [
        step(
            "replace", GROUP, "group", {"location": "a"}, {"location": "b"}, reasons=["location"], protect=(True, True)
        ),
        step("replace", SERVER, "server", {}, {}, depends_on={"resourceGroupName": [group]}, protect=BOTH),
        # A reason of its own that another replaced resource gives it makes it no cause.
        step("replace", ACCOUNT, "account", {"x": 1}, {"x": UNKNOWN}, reasons=["x"], depends_on={"x": [group]}),
        step("replace", VNET, "vnet", {}, {}, depends_on={"": [group]}),
    ]
    (cause,) = causes(read(preview(*steps)))
    assert cause.step.name == "group"
    assert sorted(one.name for one in cause.followers) == ["account", "server", "vnet"]
    found = of(*steps)
    assert found.verdict is Verdict.REFUSED
    (data,) = said(found, Subject.DATA)
    assert "group.location a → b replaces 4 of 4 resources" in data
    assert "No data is moved." in data
    assert "2 protected resources in the way" in plain(found.title)
    assert "database and blobs empty" in plain(found.title)


def test_a_replacement_without_data_is_no_loss() -> None:
    found = of(step("replace", VNET, "vnet", {"location": "a"}, {"location": "b"}, reasons=["location"]))
    assert said(found, Subject.DATA) == []
    assert "Everything in it is away" in said(found, Subject.OUTAGE)[0]


def test_a_cluster_that_is_replaced_is_an_outage_with_the_way_around_it() -> None:
    kind = "containerservice:ManagedCluster"
    found = of(step("replace", kind, "aks", {"networkProfile": 1}, {"networkProfile": 2}, reasons=["networkProfile"]))
    (outage,) = said(found, Subject.OUTAGE)
    assert "aks is replaced. All services are away" in outage
    assert "aks.generation" in outage


@pytest.mark.parametrize("kind", [VNET, SUBNET, GROUP])
def test_another_cluster_is_no_way_around_what_takes_the_cluster_along(kind: str) -> None:
    above = step("replace", kind, "above", {"location": "a"}, {"location": "b"}, reasons=["location"])
    cluster = "containerservice:ManagedCluster"
    for edges in ({"agentPoolProfiles": [urn(kind, "above")]}, {}):
        inputs = ({"agentPoolProfiles": 1}, {"agentPoolProfiles": 2})
        found = of(above, step("replace", cluster, "aks", *inputs, reasons=["agentPoolProfiles"], depends_on=edges))
        (outage,) = said(found, Subject.OUTAGE)
        assert "aks is replaced. All services are away" in outage
        # A group is no part of the network: a cluster that does not follow it has its own reason.
        assert ("aks.generation" in outage) is (kind == GROUP and not edges)


def test_data_that_is_deleted_is_refused() -> None:
    found = of(step("delete", SERVER, "server", {"serverName": "psql"}))
    assert found.verdict is Verdict.REFUSED
    assert plain(found.title) == "would delete database"


def test_a_resource_that_only_got_another_name_in_the_program_wants_an_alias() -> None:
    found = of(
        step("delete", ACCOUNT, "store-account", {"accountName": "st"}),
        step("create", ACCOUNT, "artifacts-account", None, {"accountName": "st"}),
    )
    (data,) = said(found, Subject.DATA)
    assert 'aliases=[pulumi.Alias(name="store-account")]' in data
    other = of(
        step("delete", ACCOUNT, "store-account", {"accountName": "st"}),
        step("create", ACCOUNT, "artifacts-account", None, {"accountName": "other"}),
    )
    assert "aliases" not in said(other, Subject.DATA)[0]


def test_a_role_under_a_lock_that_stays_will_fail() -> None:
    lock = {"scope": _ACCOUNT_ID, "level": "CanNotDelete"}
    change = assignment(
        "replace",
        AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR,
        before={
            "principalId": "p",
            "roleDefinitionId": f"/x/{AzureRole.STORAGE_BLOB_DATA_READER}",
            "scope": _CONTAINER_ID,
        },
        reasons=["roleAssignmentName"],
    )
    found = of(TRACKING, STORE, change, same(LOCK, "store-lock", lock))
    assert found.verdict is Verdict.REFUSED
    assert "while the lock store-lock exists" in said(found, Subject.REFUSAL)[0]
    for other in (
        of(TRACKING, STORE, change),
        of(TRACKING, STORE, change, step("delete", LOCK, "store-lock", lock)),
        of(TRACKING, STORE, change, same(LOCK, "store-lock", {**lock, "scope": f"{_ACCOUNT_ID}2"})),
    ):
        assert said(other, Subject.REFUSAL) == []


def test_an_update_that_azure_refuses_is_described_with_azures_reason() -> None:
    found = of(step("update", SERVER, "server", {"storage": {"storageSizeGB": 64}}, {"storage": {"storageSizeGB": 32}}))
    assert found.verdict is Verdict.REFUSED
    assert "Storage cannot be reduced" in said(found, Subject.REFUSAL)[0]


def test_what_an_earlier_update_left_is_described_with_what_ends_it() -> None:
    left = step("delete-replaced", ASSIGNMENT, "identity-tracking-artifacts", {"scope": _CONTAINER_ID})
    found = of(left)
    assert found.verdict is Verdict.DECIDE
    assert (
        "This update deletes it first, and fails again while what stopped it is there" in said(found, Subject.STATE)[0]
    )
    locked = of(left, same(LOCK, "store-lock", {"scope": _ACCOUNT_ID, "level": "CanNotDelete"}))
    assert said(locked, Subject.STATE) == []
    assert said(locked, Subject.REFUSAL) == [
        "Azure will refuse to delete identity-tracking-artifacts, which an earlier update left, while the lock "
        "store-lock exists. Take the lock off before, as docs/azure.md#change-it says."
    ]


def test_a_budget_below_the_estimate_is_described_once() -> None:
    small, large = ({"sku": {"name": f"Standard_D{n}ds_v5"}, "storage": {"storageSizeGB": 128}} for n in (2, 16))
    made = step("create", "consumption:Budget", "budget", None, {"amount": 100})
    found = of(made, same(SERVER, "server", small))
    assert said(found, Subject.COST) == ["The estimate exceeds the budget of 100 USD a month: 160 to 160."]
    assert found.reasons[0].remedy == "pulumi config set --path monitoring.monthlyBudget 200 -s prod"
    kept = same("consumption:Budget", "budget", {"amount": 200})
    grown = of(kept, step("update", SERVER, "server", small, large))
    assert any("exceeds the budget of 200" in text for text in said(grown, Subject.COST))
    # An estimate that exceeded it before is not reported again, nor one that fits.
    for amount, server in ((100, same(SERVER, "server", small)), (200, same(SERVER, "server", small))):
        assert said(of(same("consumption:Budget", "budget", {"amount": amount}), server), Subject.COST) == []


@pytest.mark.parametrize("role", sorted(AzureRole))
def test_each_role_that_is_granted_is_described_in_words(role: AzureRole) -> None:
    found = of(TRACKING, STORE, assignment("create", role))
    assert said(found, Subject.RIGHTS) == [f"A right is granted: tracking may {MAY[role]} on container mlflow."]
    assert found.verdict is Verdict.DECIDE


def test_a_role_that_goes_needs_no_decision() -> None:
    found = of(TRACKING, STORE, assignment("delete", AzureRole.READER))
    assert found.verdict is Verdict.ROUTINE
    assert rows(found, Subject.RIGHTS) == [("right", "tracking may read every resource on container mlflow", "none")]


WIDER = [
    (AzureRole.STORAGE_BLOB_DATA_READER, AzureRole.STORAGE_BLOB_DATA_CONTRIBUTOR),
    (AzureRole.KEY_VAULT_SECRETS_USER, AzureRole.KEY_VAULT_SECRETS_OFFICER),
    (AzureRole.ACR_PULL, AzureRole.ACR_PUSH),
    (AzureRole.READER, AzureRole.CONTRIBUTOR),
]


@pytest.mark.parametrize(("narrow", "wide"), WIDER)
def test_a_right_that_becomes_wider_is_described_as_such(narrow: AzureRole, wide: AzureRole) -> None:
    def found(old: AzureRole, new: AzureRole, before: str, after: str) -> Report:
        inputs = {"principalId": "p", "roleDefinitionId": f"/x/{old.value}", "scope": before}
        return of(TRACKING, STORE, assignment("replace", new, after, before=inputs, reasons=["roleAssignmentName"]))

    by_role = found(narrow, wide, _CONTAINER_ID, _CONTAINER_ID)
    assert plain(by_role.title) == "widens a right"
    assert said(by_role, Subject.RIGHTS) == [
        f"A right becomes wider: tracking may {MAY[wide]} on container mlflow. Until now: tracking may {MAY[narrow]} "
        "on container mlflow."
    ]
    assert plain(found(narrow, narrow, _CONTAINER_ID, _GROUP_ID).title) == "widens a right"
    assert plain(found(wide, narrow, _CONTAINER_ID, _CONTAINER_ID).title) == "changes a right"
    assert plain(found(narrow, narrow, _GROUP_ID, _CONTAINER_ID).title) == "changes a right"
    unknown = found(wide, narrow, _CONTAINER_ID, UNKNOWN)
    assert said(unknown, Subject.RIGHTS)[0].startswith(
        f"A right changes: tracking may {MAY[narrow]} on resource contai"
    )


def test_an_unknown_role_is_described_as_unknown() -> None:
    inputs = {"principalId": "somebody", "roleDefinitionId": "/x/1234", "scope": "/subscriptions/0"}
    found = of(same(SERVER, "server"), step("create", ASSIGNMENT, "a", None, inputs))
    assert said(found, Subject.RIGHTS) == [
        "A right is granted: somebody has a role that is not known here on subscription 0."
    ]


def test_a_right_that_is_granted_again_on_what_is_replaced_is_no_news() -> None:
    before = {"principalId": "p", "roleDefinitionId": f"/x/{AzureRole.READER}", "scope": _CONTAINER_ID}
    replaced = step(
        "replace", CONTAINER, "container", STORE["oldState"]["inputs"], STORE["newState"]["inputs"], reasons=["x"]
    )
    found = of(TRACKING, replaced, assignment("replace", AzureRole.READER, scope=UNKNOWN, before=before))
    assert said(found, Subject.RIGHTS) == []


def test_a_dropped_condition_is_a_changed_right() -> None:
    before = {"roleDefinitionId": f"/x/{AzureRole.RBAC_ADMINISTRATOR}", "scope": _GROUP_ID, "condition": "only these"}
    after = {key: value for key, value in before.items() if key != "condition"}
    found = of(step("update", ASSIGNMENT, "identity-deploy-rbac", before, after))
    assert "Its condition changes from only these to none." in said(found, Subject.RIGHTS)[0]
    assert plain(found.title) == "widens a right"


def test_another_repository_that_may_sign_in_is_described() -> None:
    kind = "managedidentity:FederatedIdentityCredential"
    before, after = (
        {"resourceName": "id-deploy", "subject": s, "issuer": "https://i"} for s in ("repo:a/b", "repo:c/d")
    )
    found = of(step("update", kind, "github", before, after))
    assert said(found, Subject.RIGHTS) == [
        "Who may sign in as id-deploy: repo:c/d of https://i. Until now: repo:a/b of https://i."
    ]


def rule(name: str, **values: Any) -> dict[str, Any]:
    plain_rule = {"access": "Allow", "direction": "Inbound", "destinationPortRange": "443", "priority": 100}
    return {"name": name, **plain_rule, **values}


def rules(*before: Any, after: list[Any]) -> dict[str, Any]:
    return step("update", RULES, "rules", {"securityRules": list(before)}, {"securityRules": after})


@pytest.mark.parametrize(
    ("address", "headline"),
    [
        ("0.0.0.0/0", "opens the network to the internet"),
        ("203.0.113.0/24", "opens the network"),  # a range for documents counts as private in Python's table
        ("8.8.8.0/24", "opens the network to the internet"),
        ("Internet", "opens the network to the internet"),
        ("10.9.0.0/16", "opens the network"),
        ("VirtualNetwork", "opens the network"),
    ],
)
def test_who_is_let_in_is_described(address: str, headline: str) -> None:
    found = of(rules(after=[rule("clients", sourceAddressPrefixes=[address])]))
    assert plain(found.title) == headline
    assert f"lets in {address}" in said(found, Subject.NETWORK)[0]


@pytest.mark.parametrize(("access", "reached"), [("Disabled", "nothing"), ("Enabled", "the gateway")])
def test_a_first_deployment_says_what_the_internet_reaches(access: str, reached: str) -> None:
    made = [
        step("create", RULES, "rules", None, {"securityRules": [rule("peers", sourceAddressPrefix="VirtualNetwork")]}),
        step("create", "app:ManagedEnvironment", "apps", None, {"publicNetworkAccess": access}),
    ]
    assert ("reachable from the internet", "nothing", reached) in rows(of(*made), Subject.NETWORK)


def test_who_is_let_out_to_the_internet_is_described() -> None:
    def out(address: str) -> dict[str, Any]:
        return rule("out", direction="Outbound", sourceAddressPrefix="10.0.0.0/24", destinationAddressPrefix=address)

    found = of(rules(after=[out("Internet")]))
    assert plain(found.title) == "lets services out to the internet"
    assert "lets out to Internet" in said(found, Subject.NETWORK)[0]
    assert said(of(rules(after=[out("Storage.westeurope")])), Subject.NETWORK) == []
    assert said(of(rules(out("Internet"), after=[out("Storage.westeurope")])), Subject.NETWORK) == []


PODS = ("kubernetes:apps/v1:Deployment", "tracking-pods")
GONE = step("delete", *PODS, {})


def of_callers(before: list[str], after: list[str], *steps: Any, config: Mapping[str, Any] | None = None) -> Report:
    """Two groups that let in these ranges of nodes, before and after."""

    def rules(ranges: list[str]) -> dict[str, Any]:
        found = rule("from-callers-inbound", sourceAddressPrefixes=ranges)
        return {"securityRules": [found] if ranges else []}

    groups = [step("update", RULES, f"{name}-rules", rules(before), rules(after)) for name in ("a", "b")]
    configured = {f"mlflow-platform:{key}": json.dumps(value) for key, value in (config or {}).items()}
    return report(read({**preview(*groups, *steps), "config": configured}))


def outages(found: Report) -> list[str]:
    reasons = [reason for reason in found.reasons if reason.subject is Subject.OUTAGE]
    assert {reason.verdict for reason in reasons} <= {Verdict.DECIDE}
    return [reason.remedy for reason in reasons]


def let_in(index: int, addresses: str) -> str:
    return f"pulumi config set --path 'network.callerRanges[{index}]' {addresses} -s prod"


@pytest.mark.parametrize(
    ("services", "outage"),
    [
        (step("delete", APP, "tracking", {}), True),
        (GONE, True),
        # It stays: on nodes that are no longer in the range, or in another one.
        (same(*PODS), True),
        (step("update", APP, "tracking", {}, {"x": 1}), True),
        # Nothing ran before.
        (step("create", *PODS, None, {}), False),
        (step("delete", LOCK, "lock", {}), False),
    ],
)
def test_nodes_that_lose_the_data_while_services_may_run_there_are_an_outage(
    services: dict[str, Any], outage: bool
) -> None:
    found = of_callers(["10.8.0.0/22"], [], services)
    assert outages(found) == [let_in(0, "10.8.0.0/22")] * outage


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (["10.8.0.0/22"], ["10.9.0.0/22"], ["10.8.0.0/22"]),
        (["10.8.0.0/22"], ["10.8.0.0/22", "10.9.0.0/22"], []),
        # The same addresses in other words.
        (["10.8.0.0/23", "10.8.2.0/23"], ["10.8.0.0/22"], []),
        (["10.8.0.0/22"], ["10.8.0.0/16"], []),
        (["10.8.0.0/22"], ["10.8.0.0/23", "10.8.2.0/23"], []),
        # What is left of it is let in: the remedy names the rest alone.
        (["10.8.0.0/22"], ["10.8.0.0/23"], ["10.8.2.0/23"]),
        (["10.9.0.0/22", "10.8.0.0/22"], [], ["10.8.0.0/22", "10.9.0.0/22"]),
    ],
)
def test_each_lost_range_is_let_in_beside_those_that_the_file_names(
    before: list[str], after: list[str], lost: list[str]
) -> None:
    for named in ([], ["172.16.0.0/24", "172.17.0.0/24"]):
        network = {"callerRanges": named} if named else {}
        found = of_callers([*before, *named], [*after, *named], GONE, config={"network": network})
        assert outages(found) == [let_in(len(named) + index, each) for index, each in enumerate(lost)]


def test_what_is_no_range_cuts_nobody_off() -> None:
    assert outages(of_callers(["VirtualNetwork"], ["10.8.0.0/22"], GONE)) == []


def test_a_rule_that_denies_or_follows_the_own_range_needs_no_decision() -> None:
    subnet = step("update", SUBNET, "apps", {"addressPrefix": "10.0.0.0/24"}, {"addressPrefix": "10.1.0.0/24"})
    old, new = (rule("itself", sourceAddressPrefix=f"10.{n}.0.0/24") for n in (0, 1))
    found = of(subnet, rules(old, after=[new, rule("deny", access="Deny", sourceAddressPrefix="*")]))
    assert said(found, Subject.NETWORK) == []
    assert len(rows(found, Subject.NETWORK)) == 1


@pytest.mark.parametrize(
    ("kind", "before", "after", "path"),
    [
        (ACCOUNT, {"allowSharedKeyAccess": False}, {"allowSharedKeyAccess": True}, "allowSharedKeyAccess"),
        (ACCOUNT, {"minimumTlsVersion": "TLS1_2"}, {"minimumTlsVersion": "TLS1_0"}, "minimumTlsVersion"),
        (
            SERVER,
            {"authConfig": {"passwordAuth": "Disabled"}},
            {"authConfig": {"passwordAuth": "Enabled"}},
            "passwordAuth",
        ),
        ("operationalinsights:Workspace", {"retentionInDays": 90}, {"retentionInDays": 30}, "retentionInDays"),
        ("monitor:MetricAlert", {"enabled": True}, {"enabled": False}, "enabled"),
    ],
    ids=str,
)
def test_less_protection_is_described_and_more_is_not(kind: str, before: Any, after: Any, path: str) -> None:
    weaker = of(step("update", kind, "x", before, after))
    assert path in said(weaker, Subject.PROTECTION)[0]
    assert said(of(step("update", kind, "x", after, before)), Subject.PROTECTION) == []


def test_protection_from_deletion_that_ends_is_described() -> None:
    found = of(same(ACCOUNT, "account", protect=(True, False)), step("delete", LOCK, "account-lock", {"scope": "/x"}))
    assert said(found, Subject.PROTECTION) == [
        "Protection from deletion ends for account; locks that go: account-lock."
    ]
    assert rows(found, Subject.PROTECTION) == [("protected from deletion", "1 resource", "0 resources")]


def test_the_outage_and_the_way_back_of_a_server() -> None:
    before = {"sku": {"name": "Standard_D2ds_v5"}, "backup": {"backupRetentionDays": 35}}
    after = {"sku": {"name": "Standard_D4ds_v5"}, "backup": {"backupRetentionDays": 14}}
    found = of(step("update", SERVER, "server", before, after))
    assert "restarts for its new size" in said(found, Subject.OUTAGE)[0]
    assert said(found, Subject.WAY_BACK) == ["No way back. Backups older than 14 days are deleted."]
    assert said(of(step("update", SERVER, "server", after, before)), Subject.WAY_BACK) == []


def app(name: str, pool: int, replicas: int, digest: str = "a" * 64) -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "args": [name], "image": f"r/i@sha256:{digest}"}
    container["env"] = [{"name": "MLFLOW_RUNTIME_DATABASE_POOL_SIZE", "value": str(pool)}]
    return {"template": {"containers": [container], "scale": {"minReplicas": 1, "maxReplicas": replicas}}}


def test_connections_are_counted_in_a_rolling_update_too() -> None:
    server = same(SERVER, "server", {"sku": {"name": "Standard_D2ds_v5"}})
    registry = same(APP, "registry", app("registry", 5, 6))
    found = of(server, registry, step("update", APP, "tracking", app("tracking", 5, 4), app("tracking", 5, 30)))
    assert found.verdict is Verdict.REFUSED
    assert plain(found.title).startswith("fails in a rolling update")
    assert [row[0] for row in rows(found, Subject.CONNECTIONS)] == [
        "connections at most, of 844",
    ]
    fewer = of(server, registry, step("update", APP, "tracking", app("tracking", 5, 4), app("tracking", 5, 5)))
    assert said(fewer, Subject.CONNECTIONS) == []


def test_a_new_image_is_described_by_its_digest() -> None:
    found = of(step("update", APP, "tracking", app("tracking", 5, 4), app("tracking", 5, 4, "b" * 64)))
    assert rows(found, Subject.IMAGE) == [("image", "aaaaaaaa…", "bbbbbbbb…")]


@pytest.mark.parametrize(
    "refused", ["The configuration of stack prod cannot be used", "The resources of stack prod cannot be made"]
)
def test_what_a_guardrail_refuses_is_described_problem_by_problem(refused: str) -> None:
    message = (
        f"{refused}:\n  - ingress: 'public' is not allowed; set it.\n  - a: b; run "
        "`pulumi config rm a -s prod`. Why: c."
    )
    found = of(errors=[message, "an unhandled error occurred: program exited with non-zero exit code: 1"])
    assert (found.verdict, found.plan) == (Verdict.REFUSED, "")
    assert [plain(one.phrase) for one in found.reasons] == [
        "ingress: 'public' is not allowed; set it.",
        "a: b. Why: c.",
    ]
    assert [one.remedy for one in found.reasons] == ["", "pulumi config rm a -s prod"]


def test_what_the_engine_could_not_compute_is_no_verdict_of_ours() -> None:
    found = of(errors=["the stack is currently locked by 1 lock(s)"])
    assert found.verdict is Verdict.NOT_COMPUTED
    assert "currently locked" in plain(found.reasons[0].phrase)
    assert found.reasons[0].remedy == ""


def test_a_provider_that_is_not_there_offline_is_built() -> None:
    """The engine's own words, of a preview of a stack on AKS."""
    said = "no resource plugin 'pulumi-resource-kubernetes' found in the workspace at version v4.34.2 or on your $PATH"
    found = of(errors=[said])
    assert (found.verdict, found.reasons[0].remedy) == (Verdict.NOT_COMPUTED, "make kubernetes-programs")


@pytest.mark.parametrize(
    ("kind", "path", "was", "now"),
    [
        (ACCOUNT, "sku", "Standard_GZRS", "Standard_ZRS"),
        (ACCOUNT, "sku", "Standard_ZRS", "Standard_LRS"),
        (SERVER, "highAvailability", "ZoneRedundant", "Disabled"),
        (SERVER, "highAvailability", "ZoneRedundant", "SameZone"),
    ],
)
def test_fewer_copies_are_less_protection(kind: str, path: str, was: str, now: str) -> None:
    inner = "name" if path == "sku" else "mode"
    found = of(step("update", kind, "one", {path: {inner: was}}, {path: {inner: now}}))
    assert said(found, Subject.PROTECTION) == [f"Less protection: one {path}.{inner} {was} → {now}."]
    more = of(step("update", kind, "one", {path: {inner: now}}, {path: {inner: was}}))
    assert said(more, Subject.PROTECTION) == []


def life_cycle(days: int | None, what: str = "version") -> dict[str, Any]:
    actions = {} if days is None else {what: {"delete": {"daysAfterCreationGreaterThan": days}}}
    return {"policy": {"rules": [{"enabled": True, "name": "old", "definition": {"actions": actions}}]}}


def test_what_azure_deletes_sooner_has_no_way_back() -> None:
    def changed(before: dict[str, Any], after: dict[str, Any]) -> Report:
        return of(step("update", "storage:ManagementPolicy", "life-cycle", before, after))

    found = changed(life_cycle(90), life_cycle(15))
    assert said(found, Subject.WAY_BACK) == ["No way back. Old versions of artifacts of more than 15 days are deleted."]
    both = life_cycle(30)
    both["policy"]["rules"] += life_cycle(30, "snapshot")["policy"]["rules"]
    assert said(changed(life_cycle(90), both), Subject.WAY_BACK) == [
        "No way back. Old versions of artifacts, snapshots of artifacts of more than 30 days are deleted."
    ]
    assert rows(found, Subject.WAY_BACK) == [
        ("old versions of artifacts are deleted", "after 90 days", "after 15 days")
    ]
    new = changed(life_cycle(None), life_cycle(30, "baseBlob"))
    assert rows(new, Subject.WAY_BACK) == [("artifacts are deleted", "never", "after 30 days")]
    assert changed(life_cycle(15), life_cycle(90)).verdict is Verdict.ROUTINE


def on_call(*addresses: str) -> dict[str, Any]:
    return {"emailReceivers": [{"name": one, "emailAddress": one} for one in addresses]}


def test_whoever_no_longer_hears_of_alerts_is_a_decision() -> None:
    def changed(*steps: Any) -> Report:
        return of(step("update", "monitor:ActionGroup", "on-call", *steps))

    found = changed(on_call("a@x.example"), on_call("b@x.example"))
    assert said(found, Subject.PROTECTION) == [
        "Alerts no longer reach a@x.example. From now on they reach b@x.example."
    ]
    assert rows(found, Subject.PROTECTION) == [("alerts reach", "a@x.example", "b@x.example")]
    assert plain(changed(on_call("a@x.example"), on_call()).title) == "alerts reach nobody"
    more = changed(on_call("a@x.example"), on_call("a@x.example", "b@x.example"))
    assert (more.verdict, len(rows(more, Subject.PROTECTION))) == (Verdict.ROUTINE, 1)


def test_another_network_that_resolves_private_names_is_a_decision() -> None:
    own, hub = (f"{_GROUP_ID}/providers/Microsoft.Network/virtualNetworks/{name}" for name in ("own", "hub"))
    network = same(VNET, "vnet")
    network["newState"]["id"] = network["oldState"]["id"] = own

    def linked(to: str, *sources: str) -> Report:
        link, taken = {"virtualNetwork": {"id": to}}, {"virtualNetwork": sources}
        return of(network, STORE, step("create", "privatedns:VirtualNetworkLink", "link", None, link, depends_on=taken))

    assert said(linked(hub), Subject.NETWORK) == [f"Network. {hub} resolves the stack's private names."]
    assert rows(linked(hub), Subject.NETWORK) == [("link", "none", hub)]
    vnet, store = urn(VNET, "vnet"), urn(CONTAINER, "container")
    for found in (linked(own.upper()), linked(UNKNOWN, vnet)):
        assert (found.verdict, rows(found, Subject.NETWORK)) == (Verdict.ROUTINE, [])
    for found in (linked(UNKNOWN), linked(UNKNOWN, store), linked(UNKNOWN, vnet, store)):
        assert rows(found, Subject.NETWORK) == [("link", "none", "known after the update")]
        assert said(found, Subject.NETWORK) == [
            "Network. A network that is known after the update resolves the stack's private names."
        ]
    kind, now = "privatedns:VirtualNetworkLink", {"virtualNetwork": {"id": UNKNOWN}}
    left = step("update", kind, "link", {"virtualNetwork": {"id": hub}}, now, depends_on={"virtualNetwork": [vnet]})
    assert rows(of(network, left), Subject.NETWORK) == [("link", hub, "known after the update")]
    gone = of(network, step("delete", "privatedns:VirtualNetworkLink", "link", {"virtualNetwork": {"id": hub}}))
    assert (gone.verdict, rows(gone, Subject.NETWORK)) == (Verdict.ROUTINE, [("link", hub, "none")])


def test_an_image_that_is_known_after_the_update_is_not_named_as_unchanged() -> None:
    before, after = ({"template": {"containers": [{"image": image}]}} for image in ("cr/m@sha256:0", UNKNOWN))
    found = of(step("update", APP, "tracking", before, after))
    assert rows(found, Subject.IMAGE) == [("image", "0…", "known after the update")]
    assert "image" not in plain(found.unchanged)


def test_another_source_of_the_image_is_a_decision() -> None:
    kind = "pulumi-python:dynamic/components.azure.image_import:ImageImport"
    there = same(ACCOUNT, "store")

    def imported(op: str, before: Any, source: str) -> Report:
        return of(there, step(op, kind, "image", before, {"digest": "sha256:1", "source": source}))

    first = imported("create", None, "ghcr.io/example/mlflow")
    assert said(first, Subject.IMAGE)[0].startswith("Image. It comes from ghcr.io/example/mlflow. Until now: what is")
    before = {"digest": "sha256:0", "source": "cr1.azurecr.io/mlflow"}
    other = imported("update", before, "ghcr.io/evil/mlflow")
    assert "Until now: cr1.azurecr.io/mlflow." in said(other, Subject.IMAGE)[0]
    assert imported("update", before, "cr1.azurecr.io/mlflow").verdict is Verdict.ROUTINE


def configured(config: Mapping[str, str], *steps: Any, before: Mapping[str, str] | None = None) -> Report:
    return report(read({**preview(*steps), "config": config, "configBefore": before or {}}))


def test_another_subscription_is_refused_by_where_the_stack_is_or_was_configured() -> None:
    key, there = "azure-native:subscriptionId", same(GROUP, "group")
    found = configured({key: "1"}, there)
    assert said(found, Subject.REFUSAL) == [
        "Another subscription. azure-native:subscriptionId is 1, and the stack is in 0. What is there would stay, and "
        "what is new would be made in the other one."
    ]
    assert found.reasons[0].remedy == "pulumi config set azure-native:subscriptionId 0 -s prod"
    assert configured({key: "0"}, there).verdict is Verdict.NO_CHANGE
    offline = same(GROUP, "group")
    offline["oldState"]["id"] = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    assert configured({key: "1"}, offline).verdict is Verdict.NO_CHANGE
    assert configured({key: "1"}, offline, before={key: "2"}).verdict is Verdict.REFUSED
    assert configured({key: "1"}, offline, before={key: "1"}).verdict is Verdict.NO_CHANGE


@pytest.mark.parametrize(
    ("before", "after", "verdict", "row"),
    [
        ("auto", "0", Verdict.DECIDE, ("hours before a promotion", "24", "0")),
        ("", "4", Verdict.DECIDE, ("hours before a promotion", "24", "4")),
        ("4", "auto", Verdict.NO_CHANGE, ("hours before a promotion", "4", "24")),
        ("auto", "24", Verdict.NO_CHANGE, None),
    ],
)
def test_a_shorter_soak_time_is_a_decision(before: str, after: str, verdict: Verdict, row: Any) -> None:
    profile, key = {"mlflow-platform:profile": "staging"}, "mlflow-platform:soakHours"
    old, new = ({**profile, **({key: hours} if hours else {})} for hours in (before, after))
    found = configured(new, same(GROUP, "group"), before=old)
    assert (found.verdict, rows(found, Subject.PROTECTION)) == (verdict, [row] if row else [])


@pytest.mark.parametrize("wanted", [64, 128, 256])
def test_a_larger_disk_in_the_file_than_the_server_has_is_said_to_have_no_effect(wanted: int) -> None:
    server = {"storage": {"storageSizeGB": 128}, "serverName": "psql", "resourceGroupName": "rg"}
    found = configured({"mlflow-platform:database": f'{{"storageGib": {wanted}}}'}, same(SERVER, "server", server))
    assert (found.verdict is Verdict.DECIDE) is (wanted == 256)
    if wanted == 256:
        assert said(found, Subject.WAY_BACK)[0].startswith("Not applied: database.storageGib 256. A server that is")
        assert "as of the last refresh" in said(found, Subject.WAY_BACK)[0]
        # Without the refresh the state, and so the next report, would not know of it.
        assert found.reasons[0].remedy == (
            "az postgres flexible-server update -n psql -g rg --storage-size 256 && pulumi refresh --yes -s prod"
        )


def test_each_setting_that_the_services_get_otherwise_is_a_row() -> None:
    def app(**env: str) -> dict[str, Any]:
        variables = [{"name": name, "value": given} for name, given in env.items()]
        return {"template": {"containers": [{"image": "x", "env": variables}]}}

    before, after = (
        app(GRACE="30", BODY="64", DATABASE_POOL_SIZE="4"),
        app(GRACE="3", BODY="64", DATABASE_POOL_SIZE="5"),
    )
    found = of(*(step("update", APP, name, before, after) for name in ("tracking", "registry")))
    assert (found.verdict, rows(found, Subject.SERVICES)) == (Verdict.ROUTINE, [("GRACE", "30", "3")])
    after = app(GRACE="3", BODY=UNKNOWN, DATABASE_POOL_SIZE="4", VAULT=f"https://{UNKNOWN}")
    found = of(*(step("update", APP, name, before, after) for name in ("tracking", "registry")))
    assert rows(found, Subject.SERVICES) == [
        ("GRACE", "30", "3"),
        ("2 settings of the services", "BODY, VAULT", "known after the update"),
    ]


def test_data_that_is_called_less_confidential_is_one_decision() -> None:
    def tagged(was: str, now: str) -> Report:
        tags = [{"tags": {"data-classification": one}} for one in (was, now)]
        return of(*(step("update", ACCOUNT, name, *tags) for name in ("a", "b")))

    found = tagged("confidential", "public")
    assert said(found, Subject.PROTECTION) == ["Less protection: tag data-classification confidential → public."]
    assert tagged("public", "internal").verdict is Verdict.ROUTINE
