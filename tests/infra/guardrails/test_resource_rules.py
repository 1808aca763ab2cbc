"""Each rule over resources: it refuses a resource of the product with one wrong property, and no stack as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest

from infra.guardrails import RULES, types
from infra.guardrails.content import HIDDEN, REQUIRED_TAGS
from infra.guardrails.enforcement import facts
from infra.guardrails.resource import UNKNOWN, Facts, Resource, Stack
from infra.settings import bootstrap
from infra.settings.model import parse
from tests.support.registered import ABSENT, broken, changed, first, resources
from tests.support.stacks import STACKS, configuration, graph

OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
USER_ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
ROLES = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
ANYBODY = {
    "name": "debug",
    "direction": "Inbound",
    "access": "Allow",
    "protocol": "Tcp",
    "sourceAddressPrefix": "*",
    "priority": 200,
}
DENIAL = {**ANYBODY, "name": "deny-all", "access": "Deny", "protocol": "*", "priority": 4096}


class Case(NamedTuple):
    """A resource of prod, by its type and a part of its name, with another value at a path; the rule refuses it."""

    rule: str
    kind: str
    path: str
    value: Any
    named: str = ""


CASES = (
    Case("data-on-the-internet", "STORAGE", "publicNetworkAccess", "Enabled"),
    Case("data-on-the-internet", "STORAGE", "publicNetworkAccess", ABSENT),
    Case("data-on-the-internet", "STORAGE", "networkRuleSet.defaultAction", "Allow"),
    Case("data-on-the-internet", "STORAGE", "networkRuleSet.ipRules", [{"iPAddressOrRange": "1.2.3.4"}]),
    Case("data-on-the-internet", "VAULT", "properties.publicNetworkAccess", "Enabled"),
    Case("data-on-the-internet", "VAULT", "properties.networkAcls.defaultAction", "Allow"),
    Case("data-on-the-internet", "SERVER", "network.publicNetworkAccess", "Enabled"),
    Case("data-on-the-internet", "SERVER", "network.delegatedSubnetResourceId", ABSENT),
    Case("data-on-the-internet", "REGISTRY", "publicNetworkAccess", "Enabled"),
    Case("anonymous-data", "STORAGE", "allowBlobPublicAccess", True),
    Case("anonymous-data", "CONTAINER", "publicAccess", "Blob"),
    Case("anonymous-data", "REGISTRY", "anonymousPullEnabled", True),
    Case("copies-to-other-tenants", "STORAGE", "allowCrossTenantReplication", True),
    Case("copies-to-other-tenants", "STORAGE", "allowedCopyScope", ABSENT),
    Case("services-on-the-internet", "ENVIRONMENT", "vnetConfiguration.internal", False),
    Case("services-on-the-internet", "ENVIRONMENT", "publicNetworkAccess", "Enabled"),
    Case("network-open-to-anybody", "NETWORK_RULES", "securityRules", [ANYBODY, DENIAL]),
    Case(
        "network-open-to-anybody",
        "NETWORK_RULES",
        "securityRules",
        [{**ANYBODY, "sourceAddressPrefix": "Internet"}, DENIAL],
    ),
    Case(
        "network-open-to-anybody",
        "NETWORK_RULES",
        "securityRules",
        [{**ANYBODY, "sourceAddressPrefix": None, "sourceAddressPrefixes": ["10.0.0.0/8", "0.0.0.0/0"]}, DENIAL],
    ),
    Case("network-without-a-last-denial", "NETWORK_RULES", "securityRules", []),
    Case("shared-keys", "STORAGE", "allowSharedKeyAccess", True),
    Case("shared-keys", "STORAGE", "allowSharedKeyAccess", ABSENT),
    Case("shared-keys", "STORAGE", "isLocalUserEnabled", True),
    Case("shared-keys", "REGISTRY", "adminUserEnabled", True),
    Case("shared-keys", "WORKSPACE", "features.disableLocalAuth", False),
    Case("database-passwords", "SERVER", "authConfig.passwordAuth", "Enabled"),
    Case("database-passwords", "SERVER", "authConfig.activeDirectoryAuth", "Disabled"),
    Case("vault-access-policies", "VAULT", "properties.enableRbacAuthorization", False),
    Case("old-tls", "STORAGE", "minimumTlsVersion", "TLS1_0"),
    Case("old-tls", "PARAMETER", "value", "TLSv1.1", "ssl-min-protocol-version"),
    Case("plain-traffic", "STORAGE", "enableHttpsTrafficOnly", False),
    Case("plain-traffic", "PARAMETER", "value", "off", "require-secure-transport"),
    Case("plain-traffic", "ENVIRONMENT", "peerTrafficConfiguration.encryption.enabled", False),
    Case("plain-traffic", "CONTAINER_APP", "configuration.ingress.allowInsecure", True),
    Case("role-outside-the-table", "ASSIGNMENT", "roleDefinitionId", f"{ROLES}/{OWNER}", "tracking"),
    Case("role-outside-the-table", "ASSIGNMENT", "roleDefinitionId", f"{ROLES}/{USER_ACCESS_ADMINISTRATOR}", "deploy"),
    Case("broad-role-of-a-service", "ASSIGNMENT", "roleDefinitionId", f"{ROLES}/{CONTRIBUTOR}", "tracking"),
    Case("administrator-without-a-condition", "ASSIGNMENT", "condition", ABSENT, "deploy-rbac-administrator"),
    Case("role-of-a-person", "ASSIGNMENT", "principalType", "Group", "tracking"),
    Case("no-versions-of-artifacts", "BLOB_SERVICE", "isVersioningEnabled", False),
    Case("no-versions-of-artifacts", "BLOB_SERVICE", "deleteRetentionPolicy.enabled", False),
    Case("no-versions-of-artifacts", "BLOB_SERVICE", "containerDeleteRetentionPolicy", ABSENT),
    *(Case("data-without-protection", kind, "protect", False) for kind in ("SERVER", "STORAGE", "VAULT", "WORKSPACE")),
    Case("data-without-a-lock", "LOCK", "level", "ReadOnly", "postgres"),
    Case("vault-to-be-purged", "VAULT", "properties.enablePurgeProtection", ABSENT),
    Case("silent-alerts", "ACTION_GROUP", "enabled", False),
    Case("silent-alerts", "LOG_ALERT", "enabled", False),
    Case("silent-alerts", "METRIC_ALERT", "enabled", False),
    Case("secret-in-an-input", "CONTAINER_APP", "configuration.secrets", [{"name": "one", "value": "hush"}]),
    Case("secret-in-an-input", "SERVER", "administratorLoginPassword", "hush"),
    Case("image-without-a-digest", "CONTAINER_APP", "template.containers.0.image", "registry.azurecr.io/mlflow:latest"),
    Case("image-without-a-digest", "JOB", "template.containers.0.image", "mlflow"),
    Case("image-without-a-digest", "DEPLOYMENT", "spec.template.spec.containers.0.image", "mlflow:latest", "tracking"),
    Case("image-without-a-digest", "KUBERNETES_JOB", "spec.template.spec.containers.0.image", "mlflow:latest"),
    Case("load-balancer-on-the-internet", "BALANCER", "metadata.annotations", {}, "gateway"),
    Case("cluster-open-to-anybody", "CLUSTER", "apiServerAccessProfile.disableRunCommand", False),
    Case("cluster-open-to-anybody", "CLUSTER", "apiServerAccessProfile.enablePrivateCluster", False),
    Case(
        "cluster-open-to-anybody",
        "CLUSTER",
        "apiServerAccessProfile",
        {"disableRunCommand": True, "authorizedIPRanges": ["198.51.100.7/32", "0.0.0.0/0"]},
    ),
    Case("cluster-with-local-accounts", "CLUSTER", "disableLocalAccounts", ABSENT),
    Case("cluster-with-local-accounts", "CLUSTER", "aadProfile.enableAzureRBAC", False),
    Case("missing-tags", "STORAGE", "tags", None),
    *(Case("missing-tags", "VAULT", f"tags.{tag}", "") for tag in REQUIRED_TAGS),
)
_SEEN_ELSEWHERE = {"no-logs": "test_each_diagnostic_setting_that_is_taken_away_is_missed"}


# Of a stack in a cluster.
_OF_AKS = ("BALANCER", "CLUSTER", "DEPLOYMENT", "KUBERNETES_JOB")


@cache
def of_prod(**values: Any) -> Sequence[Resource]:
    """Nobody changes them: `changed` returns another one."""
    return tuple(resources(graph("prod", **values)))


@cache
def of_settings(stack: str) -> Facts:
    return facts(parse(configuration(stack), stack))


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.rule}-{case.kind.lower()}-{case.path.rpartition('.')[2]}"
)
def test_a_rule_refuses_a_resource_that_breaks_it_and_no_other_does(case: Case) -> None:
    given = of_prod(compute="aks") if case.kind in _OF_AKS else of_prod()
    target = first(given, case.kind, case.named)
    wrong = [changed(one, case.path, case.value) if one is target else one for one in given]
    assert {rule for rule, _ in broken(RULES, wrong, of_settings("prod"))} == {case.rule}


def test_every_rule_has_a_resource_that_breaks_it() -> None:
    assert {case.rule for case in CASES} | _SEEN_ELSEWHERE.keys() == {rule.id for rule in RULES}


def test_each_diagnostic_setting_that_is_taken_away_is_missed() -> None:
    given = of_prod()
    settings = [one for one in given if one.type == types.DIAGNOSTICS]
    assert len(settings) > 8
    for setting in settings:
        left = [one for one in given if one is not setting]
        assert {rule for rule, _ in broken(RULES, left, of_settings("prod"))} == {"no-logs"}, setting.name


def test_a_rule_of_a_firewall_is_refused_whatever_it_opens() -> None:
    rule = Resource(key="one", name="one", type=types.FIREWALL_RULE, inputs={"startIpAddress": "10.0.0.1"})
    assert broken(RULES, [rule], Facts()) == [("data-on-the-internet", "one.startIpAddress")]


def test_a_scheduled_job_of_a_cluster_names_its_image_by_digest_too() -> None:
    pod = {"spec": {"containers": [{"image": "mlflow:latest"}]}}
    inputs = {"spec": {"jobTemplate": {"spec": {"template": pod}}}}
    job = Resource(key="nightly", name="nightly", type=types.CRON_JOB, inputs=inputs)
    path = "spec.jobTemplate.spec.template.spec.containers[0].image"
    assert broken(RULES, [job], Facts()) == [("image-without-a-digest", f"nightly.{path}")]


@pytest.mark.parametrize("version", ["", "/v20240101", "/v20250202preview"])
def test_the_version_of_a_type_does_not_matter(version: str) -> None:
    assert types.versionless(f"azure-native:storage{version}:StorageAccount") == types.STORAGE


SECRETS = {
    "an account's connection": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aGVsbG8=",
    "a signed address": "https://a.blob.core.windows.net/c?sv=2024&sig=abcdefghijklmnopqrstuvwxyz%3D",
    "a bus's connection": "Endpoint=sb://a/;SharedAccessKey=aGVsbG8=",
    "a user's address": "postgresql://admin:hunter2@host/db",
    "a password in a text": "host=db;password=hunter2",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
}


@pytest.mark.parametrize("secret", sorted(SECRETS))
@pytest.mark.parametrize("kind", ["WORKSPACE", "CONTAINER_APP"])
def test_a_secret_is_refused_wherever_it_stands_and_is_not_shown(secret: str, kind: str) -> None:
    path = {"WORKSPACE": "customerId", "CONTAINER_APP": "template.containers"}[kind]
    env = [{"name": "main", "image": f"a@sha256:{'0' * 64}", "env": [{"name": "A", "value": SECRETS[secret]}]}]
    wrong = changed(first(of_prod(), kind), path, SECRETS[secret] if kind == "WORKSPACE" else env)
    (rule,) = [rule for rule in RULES if rule.id == "secret-in-an-input"]
    (found,) = rule.broken(wrong, Stack(facts=Facts()))
    assert found.value == HIDDEN


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("MLFLOW_TRACKING_PASSWORD", True),
        ("GITHUB_TOKEN", True),
        ("api_key", True),
        ("STORAGE_CONNECTION_STRING", True),
        ("TOKEN_LIFETIME_SECONDS", False),
        ("KEY_VAULT_URL", False),
        ("PASSWORD_FILE", False),
    ],
)
def test_a_variable_named_after_a_secret_is_refused(name: str, refused: bool) -> None:
    target = first(of_prod(), "CONTAINER_APP")
    containers = [{**target.at("template.containers")[0], "env": [{"name": name, "value": "hunter2-Qx81"}]}]
    wrong = changed(target, "template.containers", containers)
    found = broken(RULES, [wrong], Facts(protect=False))
    assert ("secret-in-an-input" in {rule for rule, _ in found}) is refused


LEGAL: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "for clients": {
        "storage": {"clientsReachBlob": True},
        "network": {"clientRanges": ["10.0.0.0/8", "192.168.0.0/16"], "fixedOutboundAddress": False},
        "github": {"repository": "example/mlflow-platform"},
    },
    "in one zone, without protection, with the internet for services": {
        "protect": "false",
        "network": {"internetOutbound": True},
        "zoneRedundant": "false",
        "database": {"highAvailability": "none"},
        "storage": {"redundancy": "local"},
    },
    "in a cluster": {"compute": "aks"},
    "in a cluster that who deploys reaches from outside": {
        "compute": "aks",
        "aks": {"authorizedRanges": ["198.51.100.7/32"], "generation": "green", "certificate": "mlflow-example-com"},
        "github": {"repository": "example/mlflow-platform"},
    },
    "a bootstrap stack's, no services yet": {
        "bootstrappedBy": "bootstrap",
        "github": {},
        "image": {"digest": "none"},
    },
}
# The rules over settings refuse it there.
_NOT_IN_PROD = "in one zone, without protection, with the internet for services"
_ALLOWED = [(stack, legal) for stack in STACKS for legal in sorted(LEGAL) if (stack, legal) != ("prod", _NOT_IN_PROD)]


@pytest.mark.parametrize(("stack", "legal"), _ALLOWED)
def test_no_rule_refuses_what_the_settings_allow(stack: str, legal: str) -> None:
    for preview in (True, False) if legal == "as it is" else (False,):
        # The program itself runs the rules: it would raise.
        given = resources(graph(stack, preview=preview, **LEGAL[legal]))
        known = facts(parse(configuration(stack, **LEGAL[legal]), stack))
        assert broken(RULES, given, known) == []


def test_no_rule_refuses_the_bootstrap_stack() -> None:
    known = facts(bootstrap.parse(configuration("bootstrap"), "bootstrap"))
    assert broken(RULES, resources(graph("bootstrap")), known) == []
    assert known.bootstrap


def test_what_is_not_known_yet_breaks_no_rule() -> None:
    for resource in of_prod():
        unknown = changed(resource, "protect", True)
        for path in list(resource.inputs):
            unknown = changed(unknown, path, UNKNOWN)
        alone = [rule for rule in RULES if not rule.whole]
        assert broken(alone, [unknown], Facts()) == [], resource.name


def test_every_rule_over_resources_says_what_it_refuses_why_and_what_to_do() -> None:
    for rule in RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert all((rule.refuses, rule.reason, rule.remedy, rule.source)), rule.id
        assert rule.remedy.endswith("."), rule.id
