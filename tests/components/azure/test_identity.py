"""Identities and who may act as them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure.federated_subject import FederatedSubject
from components.azure.identity import Identity, IdentityArgs
from tests.support.recorder import TENANT_ID, UNKNOWN, Graph, record

DEPLOY = FederatedSubject.github_environment("acme/mlflow", "prod")
PREVIEW = FederatedSubject.github_environment("acme/mlflow", "prod-preview")


def arguments(**given: Any) -> IdentityArgs:
    fixed = {"location": "westeurope", "resource_group_name": "rg", "tags": {"environment": "test"}}
    return IdentityArgs(**{**fixed, "identity_name": "id-deploy", **given})


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def built(request: pytest.FixtureRequest) -> Callable[..., Graph]:
    def build(**given: Any) -> Graph:
        return record(lambda: Identity("deploy", arguments(**given)), preview=request.param)

    return build


def test_defaults_are_an_identity_that_nobody_outside_may_use(built: Callable[..., Graph]) -> None:
    graph = built()
    assert graph.names == ["deploy", "deploy-identity"]
    assert graph.inputs("deploy-identity")["resourceName"] == "id-deploy"


def test_what_azure_computes_is_known_after_an_up_and_not_before() -> None:
    known = record(lambda: Identity("deploy", arguments()), preview=False).outputs("deploy")
    assert known["name"] == "id-deploy"
    assert len({known["client_id"], known["principal_id"], TENANT_ID}) == 3
    assert set(record(lambda: Identity("deploy", arguments()), preview=True).outputs("deploy").values()) == {UNKNOWN}


def test_max_takes_each_environment_and_writes_one_after_the_other(built: Callable[..., Graph]) -> None:
    graph = built(federated=[DEPLOY, PREVIEW])
    first, second = (f"deploy-{subject.credential_name}" for subject in (DEPLOY, PREVIEW))
    credential = graph.inputs(first)
    assert credential["subject"] == "repo:acme/mlflow:environment:prod"
    assert credential["issuer"] == "https://token.actions.githubusercontent.com"
    assert credential["audiences"] == ["api://AzureADTokenExchange"]
    assert first in graph.dependencies(second)
    assert graph.children("deploy") == ["deploy-identity", first, second]


@given(st.text(min_size=1, max_size=255).filter(lambda name: "*" not in name))
def test_a_credential_name_is_legal_whatever_the_environment_is_called(environment: str) -> None:
    subject = FederatedSubject.github_environment("acme/mlflow", environment)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{2,119}", subject.credential_name)


@given(st.lists(st.text(":-ab /", min_size=1, max_size=4), unique=True))
def test_two_environments_never_share_a_credential(environments: list[str]) -> None:
    subjects = [FederatedSubject.github_environment("acme/mlflow", environment) for environment in environments]
    assert len({subject.credential_name for subject in subjects}) == len(environments)


def test_a_colon_cannot_pass_for_another_environment() -> None:
    assert FederatedSubject.github_environment("a/b", "x:ref").subject == "repo:a/b:environment:x%3Aref"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FederatedSubject.github_environment("mlflow", "prod"), "repository: 'mlflow' is not of the form"),
        (lambda: FederatedSubject.github_environment("acme/*", "prod"), "repository: 'acme/*' is not of the form"),
        (lambda: FederatedSubject.github_environment("acme/mlflow", "*"), "environment: '*' must be the name of one"),
        (lambda: FederatedSubject.github_environment("acme/mlflow", ""), "environment: '' must be the name of one"),
        (lambda: FederatedSubject(label="x", subject="repo:acme/*"), "no '*', since Azure compares it exactly"),
        (lambda: FederatedSubject(label="", subject="s"), "label: must not be empty"),
        (lambda: arguments(federated=[DEPLOY, DEPLOY]), "given more than once"),
        (
            lambda: arguments(federated=[FederatedSubject(label="x", subject=f"s{n}") for n in range(21)]),
            "21 subjects were given, an identity takes 20",
        ),
    ],
)
def test_what_would_open_too_much_or_could_not_work_is_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()


def test_a_clusters_pods_sign_in_by_the_issuer_that_comes_later() -> None:
    """One credential for each cluster: the pods of the next one sign in beside those of the previous one."""

    def program() -> None:
        made = Identity("one", arguments())
        for cluster in ("aks-dev-blue", "aks-dev-green"):
            made.federate(
                FederatedSubject.service_account(
                    issuer=f"https://issuer/{cluster}", namespace="shop", account="api", cluster=cluster
                )
            )

    graph = record(program, preview=False)
    first, second = graph.of_type("azure-native:managedidentity:FederatedIdentityCredential")
    assert graph.inputs(first)["subject"] == graph.inputs(second)["subject"] == "system:serviceaccount:shop:api"
    assert [graph.inputs(name)["issuer"] for name in (first, second)] == [
        "https://issuer/aks-dev-blue",
        "https://issuer/aks-dev-green",
    ]
    names = [graph.inputs(name)["federatedIdentityCredentialResourceName"] for name in (first, second)]
    assert names[0].startswith("aks-dev-blue-api-")
    assert names[1].startswith("aks-dev-green-api-")
    # Azure refuses two writes to one identity's credentials at the same time.
    assert first in graph.dependencies(second)
