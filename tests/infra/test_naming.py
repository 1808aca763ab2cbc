"""Each name obeys the rule of its type, and no two things of one scope are named alike."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from components.azure.private_endpoint import PrivateLinkGroup
from components.mlflow.roles import Role
from infra.naming import Names, identity_names, unique_suffix

SUBSCRIPTION = "00000000-0000-0000-0000-00000000cafe"

# A text that is a stack's name stays as it is; of any other one stays what is allowed.
stacks = (
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
    .map(lambda text: re.sub(r"^[^a-z]+|-+(?=-|$)", "", text))
    .filter(lambda stack: stack and not re.search("microsoft|windows", stack.replace("-", "")))
)
subscriptions = st.uuids().map(str)


@dataclass(frozen=True)
class Rule:
    shortest: int
    longest: int
    pattern: str


# Microsoft Learn, "Naming rules and restrictions for Azure resources". Where a type takes more characters than the
# stack's names use (capitals, underscores, periods), the pattern is as wide as the type's.
_NETWORK = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?"
_HYPHENS = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_APP = r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]"
RULES = {
    "resource_group": Rule(1, 90, r"[\w().-]*[\w()-]"),
    "identity_group": Rule(1, 90, r"[\w().-]*[\w()-]"),
    # Of a container of blobs, the stricter one; a vault's key takes 1 to 127 letters, digits and hyphens.
    "state": Rule(3, 63, r"[a-z0-9](-?[a-z0-9])*"),
    "network": Rule(2, 64, _NETWORK),
    "workspace": Rule(4, 63, _HYPHENS),
    "action_group": Rule(1, 260, r"[^:<>+/&%\\?]*[^:<>+/&%\\?. ]"),
    "environment": Rule(2, 60, _APP),
    # 63 for the cluster; 80 for the group of its nodes, whose name has it between `rg-` and `-nodes`.
    "cluster": Rule(1, 54, r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?"),
    "cluster_identity": Rule(3, 128, r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    # Kubernetes, "Object Names and IDs": a label of RFC 1123.
    "namespace": Rule(1, 63, r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"),
    "gateway_host": Rule(1, 253, r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9-]+)+"),
    "budget": Rule(1, 63, r"[A-Za-z0-9_-]+"),
    "database_server": Rule(3, 63, r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"),
    "storage_account": Rule(3, 24, r"[a-z0-9]+"),
    "key_vault": Rule(3, 24, r"[A-Za-z]([A-Za-z0-9]|-(?!-))*[A-Za-z0-9]"),
    "container_registry": Rule(5, 50, r"[A-Za-z0-9]+"),
    "postgres_zone": Rule(1, 63, r"[\w-]+(\.[\w-]+){1,33}"),
    # 128 for Azure, 63 bytes for the role in PostgreSQL ("Identifiers and Key Words" in its manual).
    "identity": Rule(3, 63, r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    "delivery_identity": Rule(3, 128, r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    "workload": Rule(2, 32, _APP),
    "private_endpoint": Rule(2, 64, _NETWORK),
}
LONGEST_STACK = Names(stack="a" * 20, suffix="abcde")


def every_name(names: Names) -> dict[str, list[str]]:
    """All the names of a stack, under the attribute that gives them."""
    single = {field: [getattr(names, field)] for field in RULES if isinstance(getattr(Names, field), property)}
    return single | {
        "identity": [names.identity(role) for role in Role],
        "delivery_identity": [names.delivery_identity(purpose) for purpose in ("deploy", "preview")],
        "cluster": [names.cluster(generation) for generation in ("blue", "green123")],
        "cluster_identity": [names.cluster_identity("control", "blue"), names.cluster_identity("nodes")],
        "workload": [names.workload(role) for role in Role],
        "private_endpoint": [names.private_endpoint(group) for group in PrivateLinkGroup],
    }


def names_of(stack: str, subscription: str = SUBSCRIPTION, generation: str = "") -> Names:
    return Names(stack=stack, suffix=unique_suffix(subscription, stack, generation))


def test_a_stack_reads_as_its_names() -> None:
    names = Names(stack="dev", suffix="x7k2q")
    assert every_name(names) == {
        "resource_group": ["rg-mlflow-dev"],
        "identity_group": ["rg-identities-mlflow-dev"],
        "state": ["pulumi-dev"],
        "network": ["vnet-mlflow-dev"],
        "workspace": ["log-mlflow-dev"],
        "action_group": ["ag-mlflow-dev"],
        "environment": ["cae-mlflow-dev"],
        "namespace": ["mlflow-dev"],
        "gateway_host": ["mlflow-dev.internal"],
        "budget": ["mlflow-dev"],
        "database_server": ["psql-mlflow-dev-x7k2q"],
        "storage_account": ["stmlflowdevx7k2q"],
        "key_vault": ["kv-mlflow-dev-x7k2q"],
        "container_registry": ["crmlflowdevx7k2q"],
        "postgres_zone": ["mlflow-dev.private.postgres.database.azure.com"],
        "identity": [f"id-mlflow-dev-{role}" for role in Role],
        "delivery_identity": ["id-mlflow-dev-deploy", "id-mlflow-dev-preview"],
        "cluster": ["aks-mlflow-dev-blue", "aks-mlflow-dev-green123"],
        "cluster_identity": ["id-aks-mlflow-dev-control-blue", "id-aks-mlflow-dev-nodes"],
        "workload": [f"mlflow-{role}" for role in Role],
        "private_endpoint": ["pe-mlflow-dev-blob", "pe-mlflow-dev-vault", "pe-mlflow-dev-registry"],
    }
    assert identity_names()[Role.TRACKING] == "mlflow-tracking"


def test_every_name_has_a_rule() -> None:
    public = {name for name in vars(Names) if not name.startswith("_")}
    assert public - {"stack", "suffix"} == set(RULES)


@given(stack=stacks, subscription=subscriptions, generation=st.text(max_size=8))
@example(stack="a" * 20, subscription=SUBSCRIPTION, generation="")
@example(stack="a-b-c-d-e-f-g-h-i-jk", subscription=SUBSCRIPTION, generation="")
def test_every_name_obeys_the_rule_of_its_type(stack: str, subscription: str, generation: str) -> None:
    for field, given_names in every_name(names_of(stack, subscription, generation)).items():
        rule = RULES[field]
        for name in given_names:
            assert rule.shortest <= len(name) <= rule.longest, (field, name)
            assert re.fullmatch(rule.pattern, name), (field, name)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("resource_group", "rg-dev."),
        ("network", "vnet-dev-"),
        ("workspace", "log_dev"),
        ("action_group", "ag/dev"),
        ("environment", "cae--dev"),
        ("cluster", "aks-dev-"),
        ("cluster_identity", "-id-aks"),
        ("namespace", "mlflow.dev"),
        ("gateway_host", "mlflow_dev.internal"),
        ("budget", "mlflow dev"),
        ("database_server", "psql-Dev"),
        ("storage_account", "st-dev"),
        ("key_vault", "kv-dev--x"),
        ("container_registry", "cr-dev"),
        ("postgres_zone", "postgres"),
        ("identity", "-id"),
        ("delivery_identity", "id.dev"),
        ("workload", "mlflow-"),
        ("private_endpoint", "pe-dev-"),
    ],
)
def test_the_rules_refuse_what_azure_does(field: str, bad: str) -> None:
    assert not re.fullmatch(RULES[field].pattern, bad)


@given(stack=stacks, subscription=subscriptions)
def test_the_names_of_one_stack_differ_from_each_other(stack: str, subscription: str) -> None:
    names = every_name(names_of(stack, subscription))
    identities = names["identity"] + names["delivery_identity"] + names["cluster_identity"]
    assert len(set(identities)) == len(identities)
    for field in ("workload", "private_endpoint"):
        assert len(set(names[field])) == len(names[field])


@given(stacks, stacks)
@example("team-a-production", "team-a-production-2")
@example("a-b", "ab")
def test_two_stacks_share_no_name_that_others_see(one: str, other: str) -> None:
    assume(one != other)
    ours, theirs = every_name(names_of(one)), every_name(names_of(other))
    for field in RULES.keys() - {"workload"}:
        assert not set(ours[field]) & set(theirs[field]), field


def test_stacks_that_are_cut_alike_still_differ() -> None:
    one, other = names_of("team-a-production"), names_of("team-a-production-2")
    assert one.key_vault[:-5] == other.key_vault[:-5] == "kv-mlflow-team-a-p-"
    assert one.key_vault != other.key_vault
    assert one.storage_account != other.storage_account


@given(stack=stacks, generation=st.text(max_size=8))
def test_a_cut_never_touches_the_suffix_and_leaves_the_stack_readable(stack: str, generation: str) -> None:
    names = names_of(stack, generation=generation)
    plain = stack.replace("-", "")
    readable = {
        "database_server": stack,
        "storage_account": plain[:11],
        "key_vault": stack[:8].rstrip("-"),
        "container_registry": plain,
    }
    for field, part in readable.items():
        name = getattr(names, field)
        assert name.endswith(names.suffix)
        assert part in name


def test_a_cut_leaves_no_hyphen_before_the_suffix() -> None:
    assert Names(stack="abcdefg-hij", suffix="x7k2q").key_vault == "kv-mlflow-abcdefg-x7k2q"


@given(stack=stacks, subscription=subscriptions)
def test_the_database_zone_never_begins_with_the_server(stack: str, subscription: str) -> None:
    names = names_of(stack, subscription)
    assert not names.postgres_zone.startswith(names.database_server)


@given(stack=stacks, subscription=subscriptions, generation=st.text(max_size=8))
def test_a_suffix_is_five_characters_and_always_the_same(stack: str, subscription: str, generation: str) -> None:
    suffix = unique_suffix(subscription, stack, generation)
    assert re.fullmatch(r"[a-z][a-z0-9]{4}", suffix)
    assert suffix == unique_suffix(subscription.upper(), stack, generation)


def test_a_suffix_is_the_same_in_every_version_of_the_program() -> None:
    """Another one would replace the database of every stack there is."""
    assert unique_suffix(SUBSCRIPTION, "dev") == "ze0ke"
    assert unique_suffix(SUBSCRIPTION, "dev", "2") == "yjkma"


def test_suffixes_of_other_stacks_subscriptions_and_generations_differ() -> None:
    """2000 of the 44 million that there are: more than a chance meeting of two would be a fault."""
    made = [
        unique_suffix(str(uuid.UUID(int=subscription)), f"stack-{stack}", str(generation))
        for subscription in range(10)
        for stack in range(20)
        for generation in range(10)
    ]
    assert len(set(made)) >= len(made) - 1


def test_the_parts_of_a_suffix_do_not_run_into_each_other() -> None:
    assert unique_suffix(SUBSCRIPTION, "dev", "1") != unique_suffix(SUBSCRIPTION, "dev1", "")


@pytest.mark.parametrize("subscription", ["", "Pay-As-You-Go", "00000000-0000-0000-0000-00000000caf", "{}"])
def test_a_subscription_that_is_no_id_is_refused(subscription: str) -> None:
    with pytest.raises(ValueError, match=r"^subscription_id: .*GUID.*az account show"):
        unique_suffix(subscription, "dev")


@pytest.mark.parametrize("stack", ["", "Dev", "1dev", "-dev", "dev-", "a--b", "a_b", "dév", "dev\n", "a" * 21])
def test_a_bad_stack_is_refused(stack: str) -> None:
    with pytest.raises(ValueError, match=r"^stack: .*1 to 20 .*Rename the stack"):
        Names(stack=stack, suffix="abcde")


@pytest.mark.parametrize("stack", ["windows", "my-windows-2", "micro-soft"])
def test_a_stack_with_a_word_of_azures_own_is_refused(stack: str) -> None:
    with pytest.raises(ValueError, match=r"^stack: .*reserves.*Rename the stack"):
        Names(stack=stack, suffix="abcde")


@pytest.mark.parametrize("suffix", ["", "abcd", "abcdef", "1bcde", "Abcde", "ab-de"])
def test_a_bad_suffix_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match=r"^suffix: .*unique_suffix"):
        Names(stack="dev", suffix=suffix)


@pytest.mark.parametrize("word", ["", "two-words", "a" * 32, "1st", "white space"])
def test_a_purpose_or_group_that_is_not_one_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"^purpose: .*one word"):
        LONGEST_STACK.delivery_identity(word)
    with pytest.raises(ValueError, match=r"^group: .*one word"):
        LONGEST_STACK.private_endpoint(word)


@pytest.mark.parametrize("role", Role)
def test_a_delivery_identity_is_never_a_services(role: Role) -> None:
    with pytest.raises(ValueError, match=r"^purpose: .*role of the platform"):
        LONGEST_STACK.delivery_identity(role.value)


def test_the_longest_word_still_fits() -> None:
    word = "a" * 31
    assert len(LONGEST_STACK.private_endpoint(word)) <= RULES["private_endpoint"].longest
    assert len(LONGEST_STACK.delivery_identity(word)) <= RULES["delivery_identity"].longest
