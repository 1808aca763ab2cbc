"""The manifests of a stack are what an `up` gives the cluster, object by object."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml

from delivery.cli import run
from delivery.doctor.facts import settings_of
from delivery.kubernetes.manifests import objects, text
from delivery.pulumi.installation import REPOSITORY
from delivery.pulumi.project import stack_document
from infra.settings.azure import AzureSettings
from infra.settings.model import Settings, parse
from tests.components.compute.aks.test_objects import KUBERNETES
from tests.support.stacks import ANOTHER_OWNERS, PEER, configuration, graph

STACKS = ("dev", "prod", "staging")
# What changes an object of a stack, or where it is.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "the other cluster": {"aks": {"generation": "green", "host": "mlflow.example.com", "certificate": "mlflow"}},
    "a cluster of another owner": {
        "aks": {"existingCluster": ANOTHER_OWNERS},
        "network": {"cidr": "10.40.0.0/24", "clientNetworks": [PEER], "clientRanges": ["10.9.0.0/24"]},
    },
}
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def settings(stack: str) -> tuple[Settings, AzureSettings]:
    return azure(settings_of(stack_document(REPOSITORY, stack), stack))


def azure(found: Settings) -> tuple[Settings, AzureSettings]:
    assert found.azure is not None
    return found, found.azure


def applied(stack: str, **given: Any) -> list[Mapping[str, Any]]:
    """Every object that the program of a stack gives the cluster's provider."""
    recorded = graph(stack, compute="aks", **given)
    return [recorded.inputs(name) for name in recorded.names if recorded.type(name).startswith("kubernetes:")]


def filled(written: Any, found: Any, values: dict[str, str]) -> Any:
    """What is written, each placeholder with the one value that it has wherever the program knows it."""
    if isinstance(written, Mapping) and isinstance(found, Mapping):
        return {key: filled(value, found.get(key), values) for key, value in written.items()}
    if isinstance(written, list) and isinstance(found, list):
        return [filled(*both, values) for both in itertools.zip_longest(written, found)]
    if not isinstance(written, str) or not isinstance(found, str):
        return written
    names = _PLACEHOLDER.findall(written)
    pattern = "(.+)".join(map(re.escape, _PLACEHOLDER.split(written)[::2]))
    if match := re.fullmatch(pattern, found):
        for name, value in zip(names, match.groups(), strict=True):
            values.setdefault(name, value)
    return _PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), written)


def by_name(found: list[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


@pytest.mark.parametrize("given", SETTINGS)
@pytest.mark.parametrize("stack", STACKS)
def test_manifests_are_what_an_update_applies(stack: str, given: str) -> None:
    written = text(*azure(parse(configuration(stack, compute="aks", **SETTINGS[given]), stack)))
    manifests, found = by_name(list(yaml.safe_load_all(written))), by_name(applied(stack, **SETTINGS[given]))
    assert len(manifests) > 25
    values: dict[str, str] = {}
    assert {key: filled(each, found.get(key), values) for key, each in manifests.items()} == found
    # Each has a value of its own: one that stood for two would hide which service is who.
    assert {*values} == {*_PLACEHOLDER.findall(written)} > {"REGISTRY", "TENANT_ID", "TRACKING_CLIENT_ID"}
    assert len({*values.values()}) == len(values)


@pytest.mark.parametrize("stack", STACKS)
def test_the_schemas_of_kubernetes_take_every_object_of_a_stack(stack: str) -> None:
    for each in objects(*settings(stack)):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


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
