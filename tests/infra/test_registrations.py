"""What a subscription registers is what the program uses, by the kind of compute, and the docs say how."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delivery.azure_types import paths
from delivery.azure_types.type_tokens import versionless
from infra.registrations import features, providers
from infra.settings.profiles import ComputeKind
from tests.infra.test_cluster import in_a_cluster_of_another_owner
from tests.support.recorder import Graph
from tests.support.stacks import graph

DOCUMENT = (Path(__file__).parents[2] / "docs" / "azure.md").read_text()
KINDS = (ComputeKind.CONTAINER_APPS, ComputeKind.AKS)
# What no resource of the program shows: alerts that gates read, the policy add-on, the nodes' machines.
UNSEEN = {
    ComputeKind.CONTAINER_APPS: {"Microsoft.AlertsManagement"},
    ComputeKind.AKS: {"Microsoft.AlertsManagement", "Microsoft.Compute", "Microsoft.PolicyInsights"},
}
BY_ITSELF = {"Microsoft.Authorization", "Microsoft.Resources"}


def used(found: Graph) -> set[str]:
    namespaces = set()
    for name in found.names:
        if found.is_custom(name) and found.type(name).startswith("azure-native:"):
            path = paths.path(versionless(found.type(name)))
            assert path is not None
            namespaces |= set(re.findall(r"Microsoft\.\w+", path))
    return namespaces - BY_ITSELF


@pytest.mark.parametrize("compute", KINDS)
def test_what_the_program_uses_is_registered_and_nothing_else(compute: ComputeKind) -> None:
    assert used(graph("prod", compute=compute.value)) == set(providers(compute)) - UNSEEN[compute]


def test_what_only_the_creation_of_a_cluster_takes_is_not_asked_for_beside_another_owner_s() -> None:
    needed = set(providers(ComputeKind.AKS, existing_cluster=True))
    assert used(in_a_cluster_of_another_owner("prod")) == needed - UNSEEN[ComputeKind.AKS]
    assert features(ComputeKind.AKS, existing_cluster=True) == ()


def test_the_docs_register_each() -> None:
    loops = re.findall(r"for provider in ([\w\\\s]+); do\n  az provider register", DOCUMENT)
    apps, cluster = ([f"Microsoft.{name}" for name in loop.replace("\\", " ").split()] for loop in loops)
    assert apps == providers(ComputeKind.CONTAINER_APPS)
    assert set(apps) | set(cluster) >= set(providers(ComputeKind.AKS))
    assert not set(cluster) - set(providers(ComputeKind.AKS))
    for feature in features(ComputeKind.AKS):
        provider, _, name = feature.partition("/")
        assert f"az feature register --namespace {provider} --name {name}" in DOCUMENT
