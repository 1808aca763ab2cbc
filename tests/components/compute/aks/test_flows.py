"""Who may talk to which peer in the cluster: the data flow of the design, no flow more and none fewer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.rendering import job_objects, service_objects
from components.compute.contract import Ingress
from components.mlflow.roles import BACKENDS
from components.mlflow.topology import GatewayTls
from delivery.kubernetes.manifests import objects
from infra.settings.model import parse
from tests.components.compute.aks.flows import Flow, flows
from tests.components.compute.aks.places import place
from tests.components.compute.test_same_services_everywhere import OWN_MACHINE, TOPOLOGY
from tests.support.stacks import configuration

World = Sequence[Mapping[str, Any]]
RANGES = {
    "10.9.0.0-10.9.0.255": "clients",
    "10.10.0.0-10.10.255.255": "clients",
    "10.40.0.0-10.40.0.15": "database",
    "10.40.0.32-10.40.0.63": "stores",
    # Those of prod's network.
    "10.40.2.0-10.40.2.15": "database",
    "10.40.2.32-10.40.2.63": "stores",
}
CLIENTS = ["10.9.0.0/24", "10.10.0.0/16"]
SERVICES = ("tracking", "registry", "artifacts")
# As docs/architecture.md has it. What signs in gets its tokens from Entra, which is on the internet.
DATA_FLOW = {
    Flow("clients", "gateway", "5003"),
    Flow("gateway", "tracking", "5000"),
    Flow("gateway", "registry", "5001"),
    Flow("gateway", "artifacts", "5002"),
    *(Flow(name, "database", "5432") for name in ("tracking", "registry", "prepare")),
    # The gateway its certificate.
    *(Flow(name, "stores", "443") for name in ("gateway", *SERVICES, "prepare")),
    *(Flow(name, "internet", "443") for name in ("gateway", *SERVICES, "prepare")),
    *(Flow(name, "names", "53") for name in ("gateway", *SERVICES, "prepare")),
}


def pod(name: str, namespace: str, labels: Mapping[str, str]) -> Mapping[str, Any]:
    """A Deployment of somebody else's."""
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": name}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def namespace(name: str) -> Mapping[str, Any]:
    labels = {"kubernetes.io/metadata.name": name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def rendered() -> list[Mapping[str, Any]]:
    """Every object of the platform that says who may talk, and the pods that it is about; strangers beside them."""
    tls = GatewayTls(secret="gateway-tls", made=True)
    here, topology = place(), replace(TOPOLOGY, ingress=Ingress.PUBLIC, gateway_tls=tls)
    specs = [topology.service(role, OWN_MACHINE) for role in BACKENDS] + [topology.gateway(OWN_MACHINE)]
    groups = [namespace_objects(here), *(service_objects(spec, here) for spec in specs)]
    made = [found for group in [*groups, job_objects(topology.prepare(), here)] for found in group.values()]
    return [*_who_may_talk(made), *strangers(here.namespace)]


def of_prod() -> list[Mapping[str, Any]]:
    """The same of prod's manifests, as its file has them but for who calls."""
    settings = parse(configuration("prod", compute="aks", network={"clientRanges": CLIENTS}), "prod")
    assert settings.azure is not None
    return [*_who_may_talk(objects(settings, settings.azure)), *strangers("mlflow-prod")]


def _who_may_talk(made: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [found for found in made if found["kind"] in ("Namespace", "NetworkPolicy", "Deployment", "Job")]


def strangers(own: str) -> list[Mapping[str, Any]]:
    """The cluster's DNS, and pods beside the platform's that look like them."""
    return [
        namespace("kube-system"),
        pod("names", "kube-system", {"k8s-app": "kube-dns"}),
        namespace("other"),
        pod("neighbour", "other", {"calls-services": "true", "app.kubernetes.io/name": "gateway"}),
        pod("stranger", own, {"app": "stranger"}),
    ]


def without_each_rule(world: World) -> Iterator[tuple[str, World]]:
    """Worlds in which one rule of one policy is missing, or all of a policy."""
    for at, found in enumerate(world):
        if found["kind"] != "NetworkPolicy":
            continue
        name = found["metadata"]["name"]
        yield f"{name}-all", [*world[:at], *world[at + 1 :]]
        for way in ("ingress", "egress"):
            for number in range(len(found["spec"].get(way, []))):
                changed = copy.deepcopy(dict(found))
                del changed["spec"][way][number]
                yield f"{name}-{way}-{number}", [*world[:at], changed, *world[at + 1 :]]


def of_the_platform(found: set[Flow]) -> set[Flow]:
    """Flows that begin or end in the namespace; those of other namespaces are not its business."""
    own = {"gateway", *SERVICES, "prepare", "stranger"}
    return {flow for flow in found if own & {flow.source, flow.target}}


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[Flow]]:
    world = rendered()
    open_to_neighbours = copy.deepcopy(world)
    for found in open_to_neighbours:
        if found["kind"] == "NetworkPolicy" and found["metadata"]["name"] == "tracking":
            found["spec"]["ingress"][0]["from"].append({"namespaceSelector": {}})
    whole = {"whole": world, "prod": of_prod()}
    worlds = {**whole, "one-more": open_to_neighbours, **dict(without_each_rule(world))}
    found = flows(worlds, RANGES, tmp_path_factory.mktemp("worlds"))
    return {name: of_the_platform(each) for name, each in found.items()}


def test_the_policies_are_the_data_flow(computed: Mapping[str, set[Flow]]) -> None:
    assert computed["whole"] == DATA_FLOW


def test_the_manifests_of_prod_are_the_same_flow_at_their_own_ports(computed: Mapping[str, set[Flow]]) -> None:
    ports = dict.fromkeys(("gateway", *SERVICES), "8080")
    assert computed["prod"] == {flow._replace(port=ports.get(flow.target, flow.port)) for flow in DATA_FLOW}


def test_each_rule_is_needed(computed: Mapping[str, set[Flow]]) -> None:
    """Without it the table above is another one; and so is it with a rule more."""
    broken = {name: found for name, found in computed.items() if name not in ("whole", "prod")}
    assert len(broken) > 25
    assert {name for name, found in broken.items() if found == DATA_FLOW} == set()
    assert computed["refuse-all-all"] - DATA_FLOW >= {Flow("stranger", "internet", "any")}
    assert computed["one-more"] - DATA_FLOW == {Flow(name, "tracking", "5000") for name in ("names", "neighbour")}
