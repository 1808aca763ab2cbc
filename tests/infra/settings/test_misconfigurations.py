"""Misconfigurations of a stack's file, each applied to the stack's own file: refused by a rule, or why not; and changes
that are legitimate and raise nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.azure.postgres_size import STORAGE_GIB
from components.mlflow.limits import LIMITS
from components.mlflow.roles import SERVICES, Role
from infra.settings import regions
from infra.settings.guardrails import RULES
from infra.settings.model import Settings, SettingsError, parse
from infra.settings.problems import Problem
from tests.support.stacks import DIGEST, REPOSITORY, STACKS, configuration, waived

CHECKOUT = "example/mlflow-platform"
ON_CALL = "mlflow-on-call@example.com"
LIST = REPOSITORY.parent / "shared" / "delivery-reports" / "mutations.md"

needs_list = pytest.mark.skipif(
    not LIST.is_file(), reason="skipped: ../shared/delivery-reports is not beside this checkout"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change of a stack's file: objects are merged into it, None removes a key.

    `rule` is the guardrail that refuses it, with those of `also` (an empty one: it is wrong in itself too).
    `message` is a part of what the settings say of a value that is wrong in itself, `unseen` why settings cannot know.
    `secrets` are the paths of values that are encrypted in it.
    """

    change: Mapping[str, Any] = field(default_factory=dict)
    stack: str = "prod"
    rule: str = ""
    also: Sequence[str] = ()
    message: str = ""
    unseen: str = ""
    secrets: Sequence[str] = ()


_CODE = "a change of the program: its own tests see it, and a rule over resources could"
_LIVING = "needs what runs now: the report compares both"
_WORKFLOW = "a workflow file or a person: no setting"

_WRONG_SOURCE = "allowed: an id as in /subscriptions/ID/resourceGroups"
_TEAM = "legitimate: who reviews it knows whether it is meant, and the report shows it"

# Of the same kinds, and in no list.
MORE: Mapping[str, Case] = {
    "1a": Case(change={"image": {"digest": "sha256:abc"}}, message="image.digest: 'sha256:abc' is not allowed"),
    "1b": Case(change={"image": {"source": "https://ghcr.io/example/mlflow"}}, message=_WRONG_SOURCE),
    "1c": Case(change={"image": {"source": "ghcr.io/example/mlflow:latest"}}, message=_WRONG_SOURCE),
    "1d": Case(change={"image": {"source": "user:pass@ghcr.io/example/mlflow"}}, message="image.source: '[secret]'"),
    "5c": Case(change={"network": {"clientRanges": ["::/0"]}}, message="network.clientRanges[0]: '::/0'"),
    "5d": Case(change={"network": {"clientRanges": ["8.8.8.8"]}}, unseen=_TEAM),
    "5e": Case(change={"network": {"callerRanges": ["128.0.0.0/1"]}}, rule="clients-from-everywhere"),
    "5f": Case(change={"network": {"callerRanges": ["0.0.0.0/1"]}}, rule="clients-from-everywhere", also=("",)),
    "8a": Case(change={"database": {"backupDays": 36}}, message="a whole number from 7 to 35"),
    "11a": Case(change={"database": {"sku": "Standard_X1"}}, message="database.sku: 'Standard_X1' is not allowed"),
    "14b": Case(change={"storage": {"softDeleteDays": 400}}, message="a whole number from 1 to 365"),
    "16a": Case(change={"storage": {"oldVersionsAfterDays": 7}}, rule="prod-way-back"),
    "17b": Case(change={"monitoring": {"retentionDays": 731}}, message="a whole number from 30 to 730"),
    "17c": Case(change={"monitoring": {"emails": ["nobody"]}}, stack="dev", message="monitoring.emails[0]: 'nobody'"),
    "17d": Case(change={"monitoring": {"metricsSeconds": 0}}, message="a whole number from 5 to 300"),
    "20a": Case(change={"monitoring": {"monthlyBudget": 10_000_000}}, unseen=_TEAM),
    "26a": Case(change={"zoneRedundant": "maybe"}, message="zoneRedundant: 'maybe' is not allowed"),
    "29a": Case(change={"network": {"cidr": "20.0.0.0/16"}}, message="20.0.0.0/16 is not private"),
    "29b": Case(change={"network": {"cidr": "172.30.0.0/16"}}, message="which Container Apps keeps"),
    "29c": Case(change={"network": {"cidr": "10.60.0.0/33"}}, message="is no IPv4 range"),
    "35b": Case(change={"tracking": {"maxReplicas": 1001}}, message="a whole number from 1 to 100"),
    "37a": Case(change={"gateway": {"cpu": 0.3, "memoryMib": 614}}, message="gateway.cpu: 0.3 is no size"),
    "38a": Case(change={"tracking": {"concurrency": 0}}, message="a whole number from 1 to 1000"),
    "40a": Case(change={"artifacts": {"spoolMib": 999_999}}, message="is more than a replica with 1 cores has"),
    "40b": Case(change={"limits": {"maxInFlight": 0}}, message="a whole number from 8 to 10000"),
    "43a": Case(change={"github": {"repository": "*/*"}}, rule="another-repository-deploys", also=("",)),
    "44c": Case(change={"github": {"deployEnvironment": "*"}}, message="one GitHub environment"),
    "46a": Case(change={"tags": {"extra": {"owner": "x"}}}, message="names that the program does not set itself"),
    "46b": Case(change={"tags": {"extra": {"a?b": "x"}}}, message="names of a letter, then letters, digits"),
    "46c": Case(change={"tags": {"dataClassification": "public"}}, unseen=_TEAM),
    "97a": Case(change={"nameGeneration": "a b"}, message="up to 8 lower-case letters and digits"),
    "97b": Case(change={"location": "northeurope"}, stack="dev", unseen=_LIVING),
    "100a": Case(change={"soakHours": 0}, stack="staging", unseen=_TEAM),
}

# By the number of the row in the list. What has a letter besides is of the same kind as its row.
CASES: Mapping[str, Case] = {
    "1": Case(change={"image": {"digest": "latest"}}, message="image.digest: 'latest' is not allowed"),
    "2": Case(change={"databse": {"sku": "Standard_D4ds_v5"}}, message="databse: {'sku': 'Standard_D4ds_v5'}"),
    "2a": Case(change={"database": {"hghAvailability": "none"}}, message="allowed: the keys sku"),
    "2b": Case(change={"profile": "dev"}, rule="weaker-profile-than-its-name"),
    "2c": Case(change={"profile": "dev"}, stack="staging", rule="weaker-profile-than-its-name"),
    "4": Case(change={"ingress": "public"}, rule="public-without-access-control"),
    "110a": Case(change={"access": {"mode": "all"}}, message="access.mode: 'all' is not allowed"),
    "110b": Case(change={"access": {"mode": "entra"}}, message="a GUID with access.mode entra", also=("",)),
    "110c": Case(change={"teams": ["team-a"]}, message="only with access.mode entra"),
    "5": Case(change={"network": {"clientRanges": ["0.0.0.0/0"]}}, rule="clients-from-everywhere"),
    "5a": Case(
        change={"network": {"clientRanges": ["10.0.0.0/8", "128.0.0.0/1", "0.0.0.0/1"]}},
        stack="dev",
        rule="clients-from-everywhere",
        also=("",),
    ),
    "5b": Case(
        change={"network": {"clientRanges": [f"{n}.0.0.0/8" for n in range(16, 32)]}}, rule="clients-from-everywhere"
    ),
    "7": Case(change={"network": {"clientRanges": ["10.0.0.5/8"]}}, message="10.0.0.5/8 has host bits set"),
    "8": Case(change={"database": {"backupDays": 7}}, rule="prod-way-back"),
    "10": Case(change={"database": {"highAvailability": "same-zone"}}, rule="prod-zones"),
    "10a": Case(change={"database": {"highAvailability": "none"}}, rule="prod-database"),
    "11": Case(
        change={"database": {"sku": "Standard_B2s", "highAvailability": "none"}},
        rule="prod-database",
        also=("connections-rolling",),
    ),
    "13": Case(change={"database": {"storageGib": 100}}, message="Azure has the sizes 32, 64, 128"),
    "14": Case(change={"storage": {"redundancy": "local"}}, rule="prod-zones"),
    "14a": Case(change={"storage": {"softDeleteDays": 1}}, rule="prod-way-back"),
    "16": Case(change={"storage": {"oldVersionsAfterDays": 1}}, rule="prod-way-back"),
    "17": Case(change={"monitoring": {"retentionDays": 30}}, rule="prod-logs"),
    "17a": Case(change={"monitoring": {"emails": []}}, rule="prod-on-call", also=("",)),
    "19": Case(change={"monitoring": {"monthlyBudget": None}}, rule="prod-budget"),
    "20": Case(
        change={"monitoring": {"monthlyBudget": 300}},
        unseen="the report names it: what a stack costs is read from a preview",
    ),
    "22": Case(change={"monitoring": {"budgetStart": "2026-01-01"}}, message="'2026-01-01' is not allowed"),
    "23": Case(change={"protect": "false"}, rule="prod-protected"),
    "23a": Case(
        change={"protect": "false", "purgeProtection": "false"}, rule="prod-purge-protection", also=("prod-protected",)
    ),
    "25": Case(change={"privateRegistry": "false"}, rule="prod-private-registry"),
    "26": Case(change={"zoneRedundant": "false"}, rule="prod-zones"),
    "28": Case(change={"location": "westeurop"}, rule="misspelt-region"),
    "28a": Case(change={"location": "swedencentrall"}, stack="dev", rule="misspelt-region"),
    "29": Case(change={"network": {"cidr": "10.60.0.0/28"}}, message="too small for postgres"),
    "31": Case(
        change={"network": {"cidr": "10.40.1.0/24"}},
        unseen="the doctor names it: stacks that are never peered may share a range",
    ),
    "32": Case(change={"gateway": {"minReplicas": 1}}, rule="prod-replicas"),
    "34": Case(change={"registry": {"minReplicas": 1}}, rule="prod-replicas"),
    "34a": Case(change={"artifacts": {"minReplicas": 0}}, rule="prod-replicas"),
    "35": Case(change={"tracking": {"maxReplicas": 40}}, stack="staging", rule="connections-rolling"),
    "35a": Case(change={"tracking": {"maxReplicas": 30}, "limits": {"databasePool": 5}}, rule="connections-rolling"),
    "37": Case(change={"tracking": {"cpu": 1, "memoryMib": 4096}}, message="does not go with 1 cores"),
    "38": Case(change={"tracking": {"minReplicas": 9, "maxReplicas": 4}}, message="at most maxReplicas, 4"),
    "40": Case(change={"artifacts": {"memoryMib": 256}}, message="artifacts.memoryMib: 256 is not allowed"),
    "41": Case(
        change={"storage": {"coolAfterDays": 400, "coldAfterDays": 30}}, message="allowed: more than coolAfterDays, 400"
    ),
    "43": Case(change={"github": {"repository": "examp1e/mlflow-platform"}}, rule="another-repository-deploys"),
    "44": Case(change={"github": {"deployEnvironment": "dev"}}, rule="environment-of-another-stack"),
    "44a": Case(change={"github": {"previewEnvironment": "staging"}}, rule="environment-of-another-stack"),
    "44b": Case(change={"github": {"previewEnvironment": "prod"}}, message="must not hold the rights of a deployment"),
    "46": Case(change={"tags": {"owner": ""}}, message="tags.owner: '' is not allowed"),
    "47": Case(change={"network": {"internetOutbound": True}}, rule="prod-internet-outbound"),
    **{str(number): Case(unseen=_CODE) for number in range(49, 91) if number % 3 != 0},
    "91": Case(change={"database": {"geoBackup": False}}, unseen=_LIVING),
    "92": Case(change={"database": {"highAvailability": "same-zone"}}, rule="prod-zones"),
    "94": Case(change={"zoneRedundant": False}, rule="prod-zones"),
    "95": Case(change={"zoneRedundant": False}, rule="prod-zones"),
    "97": Case(change={"nameGeneration": "2"}, stack="dev", unseen=_LIVING),
    "98": Case(change={"image": {"digest": "sha256:" + "feed" * 16}}, unseen="only the registry knows its digests"),
    "100": Case(change={"image": {"digest": "sha256:" + "beef" * 16}}, unseen="only the other stack knows what ran"),
    "101": Case(change={"image": {"commit": "another"}}, message="image.commit: 'another' is not allowed"),
    **MORE,
    "103": Case(unseen=_WORKFLOW),
    "104": Case(unseen=_WORKFLOW),
    "106": Case(unseen=_WORKFLOW),
    "107": Case(unseen=_WORKFLOW),
    "109": Case(
        change={"tags": {"costCenter": "x"}}, secrets=("tags.costCenter",), message="tags.costCenter: '[secret]'"
    ),
    "110": Case(unseen=_WORKFLOW),
}


def changed(stack: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a stack's own file with a change in it."""
    return merged(configuration(stack), change)


def merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with a change in them: objects are merged, None removes a key."""
    found = dict(values)
    for key, value in change.items():
        inner = found.get(key, {})
        found[key] = merged(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
    return {key: value for key, value in found.items() if value is not None}


def settings(case: Case) -> Settings:
    return parse(changed(case.stack, case.change), case.stack, secrets=case.secrets, checkout=CHECKOUT)


def problems(case: Case) -> Sequence[Problem]:
    with pytest.raises(SettingsError) as caught:
        settings(case)
    return caught.value.problems


def _cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=f"row {number}") for number, case in CASES.items() if getattr(case, kind)]


@pytest.mark.parametrize("case", _cases("rule"))
def test_a_misconfiguration_is_refused_by_its_rule_alone(case: Case) -> None:
    found = problems(case)
    assert {problem.rule for problem in found} == {case.rule, *case.also}
    for problem in found:
        assert (f" Why: docs/guardrails.md#{problem.rule}." in str(problem)) is bool(problem.rule)
        assert "`pulumi " in str(problem)


@pytest.mark.parametrize("case", _cases("message"))
def test_a_value_that_is_wrong_in_itself_is_refused(case: Case) -> None:
    found = problems(case)
    assert any(case.message in str(problem) for problem in found), found
    assert {problem.rule for problem in found} == {""}


@pytest.mark.parametrize("case", _cases("unseen"))
def test_what_settings_cannot_know_is_accepted(case: Case) -> None:
    assert settings(case).stack == case.stack


def test_each_case_says_one_thing() -> None:
    assert all(sum(map(bool, (case.rule, case.message, case.unseen))) == 1 for case in CASES.values())


def test_every_rule_has_a_case_in_which_it_refuses() -> None:
    elsewhere = {"public-clients-at-the-account", "protection-without-purge-protection"}  # test_guardrails.py
    assert {rule.id for rule in RULES} == {case.rule for case in CASES.values() if case.rule} | elsewhere


@needs_list
def test_no_row_of_the_list_is_forgotten() -> None:
    numbers = set(re.findall(r"^\| ([0-9]+) \|", LIST.read_text(), re.MULTILINE))
    assert len(numbers) > 60
    assert numbers <= CASES.keys()


def test_a_workflow_of_the_repository_itself_is_admitted() -> None:
    same = Case(change={"github": {"repository": CHECKOUT.upper()}})
    assert settings(same).checkout == CHECKOUT
    unknown = {**configuration("prod"), "github": {"repository": "somebody/else"}}
    assert parse(unknown, "prod").checkout == ""


def test_in_a_region_without_zones_prod_is_in_one() -> None:
    one_zone = {
        "location": "northcentralus",
        "zoneRedundant": "false",
        "database": {"highAvailability": "same-zone"},
        "storage": {"redundancy": "local"},
    }
    assert not regions.has_zones("northcentralus")
    assert settings(Case(change=one_zone)).azure is not None
    assert {problem.rule for problem in problems(Case(change={**one_zone, "location": "westeurope"}))} == {"prod-zones"}


@pytest.mark.parametrize("region", ["eastus9", "atlantiscentral", "australiacentral3"])
def test_a_region_that_may_be_new_is_accepted(region: str) -> None:
    assert settings(Case(change={"location": region})).stack == "prod"


def test_no_known_region_is_taken_for_another() -> None:
    assert {region: regions.meant_by(region) for region in regions.KNOWN} == dict.fromkeys(regions.KNOWN)


def _sizes(role: Role, settings: Settings) -> Iterator[Mapping[str, Any]]:
    """Yield one step of cpu and memory up, and one down, or a second one up from the smallest."""
    size = settings.sizes[role]
    for step in (0.25, -0.25 if size.cpu > 0.25 else 0.5):
        cores = size.cpu + step
        spool = min(size.spool_mib, 1024 if cores < 0.5 else 2048 if cores < 1 else 4096)
        yield {role.value: {"cpu": cores, "memoryMib": int(cores * 2048), "spoolMib": spool}}


def legitimate(stack: str) -> Iterator[Mapping[str, Any]]:
    """Yield changes that anybody may want on any stack."""
    now = parse(configuration(stack), stack)
    assert now.azure is not None
    for role in SERVICES:
        yield from _sizes(role, now)
        yield {role.value: {"concurrency": 40}}
        yield {role.value: {"minReplicas": max(2, min(5, now.sizes[role].scale.maximum))}}
    for pool in (LIMITS["database_pool"].least, 3, now.limits.database_pool):
        yield {"limits": {"databasePool": pool}}
    for sku in ("Standard_D4ds_v5", "Standard_D2ds_v5"):
        yield {"database": {"sku": sku}}
    larger = next(size for size in STORAGE_GIB if size > now.azure.database.storage_gib)
    yield {"database": {"storageGib": larger}}
    yield {"database": {"backupDays": 35}}
    yield {"storage": {"softDeleteDays": 30}}
    yield {"storage": {"coolAfterDays": 60}}
    yield {"storage": {"coldAfterDays": 180}}
    yield {"storage": {"oldVersionsAfterDays": 60}}
    yield {"network": {"clientRanges": ["10.0.0.0/8"]}}
    yield {"network": {"clientRanges": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]}}
    yield {
        "network": {"internetOutbound": True},
        **({"waivers": waived("prod-internet-outbound")} if stack == "prod" else {}),
    }
    yield {"storage": {"clientsReachBlob": True}}
    yield {"monitoring": {"retentionDays": 180}}
    yield {"monitoring": {"emails": [ON_CALL, "second@example.com"]}}
    yield {"monitoring": {"monthlyBudget": 2000, **({} if now.azure.monitoring.emails else {"emails": [ON_CALL]})}}
    yield {"tags": {"owner": "other-team"}}
    yield {"tags": {"costCenter": "4711"}}
    yield {"tags": {"extra": {"project": "x"}}}
    yield {"image": {"digest": DIGEST.replace("0", "1")}}
    yield {"monitoring": {"metricsSeconds": 30}}
    environments = {"deployEnvironment": stack, "previewEnvironment": f"{stack}-preview"}
    yield {"github": {"repository": CHECKOUT, **environments}}


@pytest.mark.parametrize("stack", STACKS)
def test_a_legitimate_change_raises_nothing(stack: str) -> None:
    changes = list(legitimate(stack))
    assert len(changes) >= 40
    for change in changes:
        assert settings(Case(stack=stack, change=change)).stack == stack
