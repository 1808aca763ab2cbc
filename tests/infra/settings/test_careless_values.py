"""Values that a stack's file should not have: tags that Azure refuses, secrets in plain, ranges of no client, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from infra.settings import load, secret_texts
from infra.settings.model import SettingsError, parse
from infra.settings.problems import Problem, path
from tests.support.stacks import ANOTHER_OWNERS, PEER, configuration

# Split, so that no scanner of the repository takes them for real ones.
TOKENS = ("ghp" + "_" + "a1" * 18, "github" + "_pat_" + "a1" * 20, "eyJhbGciOiJub25lIn0" + ".eyJzdWIiOiIxIn0.x")


def refused(stack: str, **values: Any) -> Sequence[Problem]:
    with pytest.raises(SettingsError) as error:
        parse(configuration(stack, **values), stack)
    return error.value.problems


def tags(**changed: Any) -> dict[str, Any]:
    return {**configuration("dev")["tags"], **changed}


@pytest.mark.parametrize(
    "extra",
    [
        *({"Owner": "x"}, {"MANAGED-BY": "x"}, {"team": "x", "Team": "y"}, {"azure-team": "x"}, {"Microsoft.x": "x"}),
        *({"windows": "x"}, {"team": "a\tb"}, {"team": "a\u200bb"}, {"team": "a\u202eb"}, {"password": "x"}),
        *({"apiKey": "x"}, {"team token": "x"}),
    ],
)
def test_tags_that_azure_refuses_or_that_hide_something_are_refused(extra: Mapping[str, str]) -> None:
    found = refused("dev", tags=tags(extra=extra))
    assert {problem.field for problem in found} == {path("tags", "extra", [*extra][-1])}
    assert "'x'" not in str(found[0]) or "password" not in extra


def test_an_owner_with_invisible_letters_is_refused() -> None:
    (found,) = refused("dev", tags=tags(owner="team\u202e"))
    assert (found.field, found.remedy) == ("tags.owner", "pulumi config set --path tags.owner team -s dev")


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_plain_is_found_and_never_shown(token: str) -> None:
    assert [*secret_texts.found({"tags": {"owner": token}, "a": ["b", token]})] == [("tags", "owner"), ("a", 1)]
    assert token not in secret_texts.hidden(f"owner: {token}")


@pytest.mark.parametrize(
    "plain",
    [
        *(
            "oncall@example.com",
            "ghcr.io/example/mlflow@sha256:" + "0" * 64,
            "ml-platform",
            "NAME@sha256:0",
            "10.0.0.0/8",
        ),
        *(
            "registry.example.com:5000/a@sha256:" + "0" * 64,
            "sha256:" + "f" * 64,
            "a team, as in x: y",
            "mailto:a@b.example",
        ),
        *("user:alice@corp.example", "npm:x@1", "urn::n@x", "ghcr.io/example/mlflow:1@sha512:0", "kv:a/b:c@d"),
        *("https://registry.example.com:5000/a@sha256:0", "https://h:8443/x?mail=a@b.example"),
    ],
)
def test_a_plain_value_is_not_taken_for_a_secret(plain: str) -> None:
    assert not secret_texts.is_secret(plain)
    assert secret_texts.hidden(plain) == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:pa:ss@h/x", "https://u:[hidden]@h/x"),
        ("postgresql://u:p@ss/word@h:5432/x by a@b.example", "postgresql://u:[hidden]@h:5432/x by a@b.example"),
        ("redis://:hunter2@h", "redis://:[hidden]@h"),
        ("oci://u:p@ghcr.io/a@sha256:0", "oci://u:[hidden]@ghcr.io/a@sha256:0"),
        ("user:hunter2@ghcr.io/example/mlflow", "user:[hidden]@ghcr.io/example/mlflow"),
        ("Server=h;Password=hun;Pwd='ter2'", "Server=h;Password=[hidden];Pwd=[hidden]'"),
    ],
)
def test_every_part_of_a_password_is_hidden_and_no_more(text: str, shown: str) -> None:
    assert secret_texts.is_secret(text)
    assert secret_texts.hidden(text) == shown


def test_a_refusal_shows_no_password() -> None:
    for values in (
        {"image": {"digest": "none", "source": "postgresql://u:hunter2@h/x"}},
        {"location": "https://u:hunter2@h"},
        {"image": {"digest": "none", "source": "user:hunter2@ghcr.io/example/mlflow"}},
    ):
        for problem in refused("dev", **values):
            assert "hunter2" not in str(problem)
            assert "'[secret]' is not allowed" in str(problem)


def test_a_secret_in_plain_is_refused_alone() -> None:
    (found,) = refused("dev", tags=tags(owner=TOKENS[0]), location=3)
    assert (found.field, found.value) == ("tags.owner", "[secret]")


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("azure-native:clientSecret", r"\[secret\]"),
        ("azure-native:metadataHost", "value"),
        ("azure-native:oidcRequestUrl", "value"),
        ("azure-native:environment", "value"),
        ("kubernetes:kubeconfig", "value"),
        ("mlflow-platfrom:protect", "value"),
        ("mlflow:protect", "value"),
    ],
)
def test_a_key_that_the_program_does_not_know_is_refused(key: str, shown: str) -> None:
    given = {"azure-native:subscriptionId": "0", "mlflow-platform:protect": "true", "pulumi:tags": "{}", key: "value"}
    with pytest.raises(
        SettingsError, match=rf"{key}: '{shown}' is not allowed; .* run `pulumi config rm {key}"
    ) as error:
        load.refuse_foreign(given, "mlflow-platform", "dev")
    assert len(error.value.problems) == 1


def test_an_encrypted_secret_of_the_provider_is_its_own() -> None:
    load.refuse_foreign(
        {"azure-native:clientSecret": "x"}, "mlflow-platform", "dev", encrypted=["azure-native:clientSecret"]
    )


def test_a_problem_is_one_line_whatever_its_key() -> None:
    for problem in refused("dev", **{"a\nb": "c\u202ed"}):
        assert str(problem).isprintable()


HALF = [f"{first}.0.0.0/8" for first in range(1, 224, 2) if first not in (127,)]


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([""], "allowed: IPv4 ranges as in 10.0.0.0/8"),
        (["010.0.0.0/8"], "allowed: IPv4 ranges as in 10.0.0.0/8"),
        (["10.0.0.0/255.0.0.0"], "allowed: IPv4 ranges as in 10.0.0.0/8"),
        *(([each], f"{each} is reserved") for each in ("127.0.0.1", "169.254.1.0/24", "224.0.0.0/4", "168.63.129.16")),
        (["0.0.0.1"], "0.0.0.1 is reserved"),
        (["10.0.0.0/8", "10.1.0.0/16"], "do not overlap, and 10.0.0.0/8 is given too"),
        (["10.0.0.0/8", "10.0.0.0/8"], "ranges that do not overlap"),
        ([f"10.{n // 256}.{n % 256}.0/25" for n in range(4001)], "at most 4000"),
        (HALF, "addresses of the internet"),
        (["20.0.0.0/11"], "2,097,152 addresses of the internet"),
    ],
    ids=range(13),
)
def test_ranges_of_no_client_are_refused(ranges: list[str], words: str) -> None:
    assert any(words in str(problem) for problem in refused("dev", network={"clientRanges": ranges}))


# Of stack dev: its network, and one that holds it.
OWN, AROUND = "10.40.0.128/26", "10.0.0.0/8"


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        (["x"], "allowed: IPv4 ranges as in 10.0.0.0/8"),
        (["10.8.0.0/22", "10.8.1.0/24"], "do not overlap, and 10.8.0.0/22 is given too"),
        ([f"10.{n // 256}.{n % 256}.0/25" for n in range(4001)], "at most 4000"),
        (HALF, "addresses of the internet"),
        (["128.0.0.0/1"], "addresses of the internet"),
        (["20.0.0.0/11"], "2,097,152 addresses of the internet"),
        ([OWN], "ranges that do not overlap network.cidr, 10.40.0.0/24"),
        ([AROUND], "ranges that do not overlap network.cidr, 10.40.0.0/24"),
    ],
    ids=range(8),
)
def test_ranges_of_no_nodes_of_another_owner_are_refused(ranges: list[str], words: str) -> None:
    assert any(words in str(problem) for problem in refused("dev", network={"callerRanges": ranges}))


def test_each_range_of_nodes_that_is_refused_is_removed_once() -> None:
    given = [OWN, "10.8.0.0/22", AROUND, "192.168.0.0/24", "10.40.0.0/24"]
    assert [problem.remedy for problem in refused("dev", network={"callerRanges": given})] == [
        f"pulumi config rm --path 'network.callerRanges[{index}]' -s dev" for index in (4, 2, 1, 0)
    ]


def test_nodes_of_a_previous_cluster_and_of_the_present_one_are_named_once() -> None:
    network = {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]}
    aks = {"existingCluster": {**ANOTHER_OWNERS, "nodeRange": "10.8.0.0/22"}}
    for again in ("10.8.0.0/22", "10.8.1.0/24", "10.8.0.0/16"):
        given = {**network, "callerRanges": ["10.9.0.0/22", again]}
        (problem,) = refused("dev", compute="aks", aks=aks, network=given)
        assert "do not overlap aks.existingCluster.nodeRange, 10.8.0.0/22" in str(problem)
        assert problem.remedy == "pulumi config rm --path 'network.callerRanges[1]' -s dev"
        # A stack that runs elsewhere loses the cluster, and lets the nodes in for as long as it has to.
        (elsewhere,) = refused("dev", compute="container_apps", aks=aks, network=given)
        assert elsewhere.field == "aks"
    given = {**network, "callerRanges": ["10.9.0.0/22"]}
    assert parse(configuration("dev", compute="aks", aks=aks, network=given), "dev")


def test_a_range_within_another_is_removed_alone_and_from_the_last_one_on() -> None:
    given = ["10.1.0.0/16", "10.0.0.0/8", "192.168.0.0/16", "10.2.0.0/16", "10.0.0.0/8"]
    assert [problem.remedy for problem in refused("dev", network={"clientRanges": given})] == [
        f"pulumi config rm --path 'network.clientRanges[{index}]' -s dev" for index in (4, 3, 0)
    ]


def test_ranges_of_an_organization_are_accepted() -> None:
    ranges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "20.0.0.0/12"]
    assert parse(configuration("dev", network={"clientRanges": ranges}), "dev").azure is not None


@pytest.mark.parametrize(
    "stack", ["production", "prd", "prod2", "eu-prod", "mlflow-prod", "prd-2", "eu-staging", "stg"]
)
def test_a_name_promises_its_profile(stack: str) -> None:
    assert [problem.rule for problem in refused_named(stack)] == ["weaker-profile-than-its-name"]


@pytest.mark.parametrize("stack", ["non-prod", "pre-prod", "preprod", "nonprod", "product", "dev", "team-a"])
def test_other_names_promise_none(stack: str) -> None:
    assert parse(configuration("dev"), stack).stack == stack


def refused_named(stack: str) -> Sequence[Problem]:
    with pytest.raises(SettingsError) as error:
        parse(configuration("dev"), stack)
    return error.value.problems


@pytest.mark.parametrize("environment", ["STAGING", "Prod-Preview", "promote", "Build", "bootstrap"])
def test_an_environment_of_other_jobs_is_refused_however_it_is_written(environment: str) -> None:
    (found,) = refused("dev", github={"repository": "a/b", "deployEnvironment": environment})
    assert found.field == "github.deployEnvironment"


@pytest.mark.parametrize("environment", ["dev ", " dev", "d\u0435v", "x\n", "e" * 256])
def test_a_name_that_only_looks_like_an_environment_is_refused(environment: str) -> None:
    (found,) = refused("dev", github={"repository": "a/b", "deployEnvironment": environment})
    assert ("1 to 255 characters" if len(environment) > 255 else "ASCII") in str(found)


def test_one_environment_in_two_spellings_is_refused() -> None:
    given = {"repository": "a/b", "deployEnvironment": "x", "previewEnvironment": "X"}
    assert [problem.field for problem in refused("dev", github=given)] == ["github.previewEnvironment"]


@pytest.mark.parametrize("repository", ["a/" + "r" * 101, "o" * 40 + "/r"])
def test_a_repository_that_github_cannot_have_is_refused(repository: str) -> None:
    assert [problem.field for problem in refused("dev", github={"repository": repository})] == ["github.repository"]


@pytest.mark.parametrize(
    ("monitoring", "words"),
    [
        ({"emails": ["a@b.cd", "A@b.cd"]}, "differ by more than case"),
        ({"emails": [f"a{n}@b.cd" for n in range(51)], "monthlyBudget": 100}, "at most 50"),
        ({"emails": [f"a{n}@b.cd" for n in range(1001)]}, "at most 1000"),
    ],
)
def test_addresses_that_azure_refuses_are_refused(monitoring: Mapping[str, Any], words: str) -> None:
    (found,) = refused("dev", monitoring=monitoring)
    assert words in str(found)
