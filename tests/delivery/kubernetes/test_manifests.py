"""The manifests of a stack are what an `up` gives the cluster, object by object."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from components.compute.aks.backend import AksCompute, AksComputeArgs
from components.mlflow.platform import Platform, PlatformArgs
from delivery.cli import run
from delivery.doctor.facts import settings_of
from delivery.kubernetes.manifests import objects, parts, text
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.project import stack_document
from infra.settings.azure import AzureSettings
from infra.settings.model import Settings
from tests.support.recorder import record

STACKS = ("dev", "prod", "staging")


def settings(stack: str) -> tuple[Settings, AzureSettings]:
    found = settings_of(stack_document(REPOSITORY, stack), stack)
    assert found.azure is not None
    return found, found.azure


class Cluster(pulumi.ProviderResource):
    def __init__(self) -> None:
        super().__init__("kubernetes", "cluster", {})


def applied(stack: str) -> list[Mapping[str, Any]]:
    """Every object that the program gives the cluster's provider."""

    def program() -> None:
        services, place = parts(*settings(stack))
        compute = AksCompute(
            "compute", AksComputeArgs(provider=Cluster(), server="https://k", authority="", place=place)
        )
        Platform("mlflow", PlatformArgs(compute=compute, topology=services))

    graph = record(program, preview=False)
    return [graph.inputs(name) for name in graph.names if graph.type(name).startswith("kubernetes:")]


def by_name(found: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(found, key=lambda each: (each["kind"], each["metadata"]["name"]))


@pytest.mark.parametrize("stack", STACKS)
def test_manifests_are_what_an_update_applies(stack: str) -> None:
    written = list(yaml.safe_load_all(text(*settings(stack))))
    assert len(written) > 25
    assert by_name(written) == by_name(applied(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_no_object_comes_before_its_namespace_and_none_twice(stack: str) -> None:
    found = objects(*settings(stack))
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(set(names)) == len(names)
    assert names[0] == ("Namespace", f"mlflow-{stack}")
    kinds = [kind for kind, _ in itertools.groupby(names, key=lambda each: each[0])]
    assert kinds.index("Job") < kinds.index("Deployment")


def test_the_gateways_address_is_in_the_subnet_for_it() -> None:
    (address,) = (each for each in objects(*settings("prod")) if each.get("spec", {}).get("type") == "LoadBalancer")
    annotations = address["metadata"]["annotations"]
    assert annotations["service.beta.kubernetes.io/azure-load-balancer-ipv4"] == "10.40.2.196"


def test_a_stack_on_this_machine_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", "local"]) == 2
    assert "mlflow-platform manifests dev" in capsys.readouterr().err


def test_manifests_of_a_stack_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manifests", "dev"]) == 0
    printed = capsys.readouterr().out
    assert list(yaml.safe_load_all(printed)) == objects(*settings("dev"))
    # Written twice where two objects share it: nobody's manifest has anchors.
    assert "&id" not in printed
