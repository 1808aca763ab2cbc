"""The way to a cluster by the real engine: what Azure says, a token of the caller's own, rights that come late."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.compute.aks.namespace import namespace_objects
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.clusters import ApiServer
from delivery.offline_azure.rest import ManagementApi, identity_environment
from tests.components.compute.aks.places import place
from tests.components.compute.aks.reached_program import NAMESPACE
from tests.support.engine import Program, served
from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.rights import OF_WHO_DEPLOYS
from tests.support.ports import free_port
from tests.support.waiting import until
from tools.kubernetes import programs

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1200)]

SOURCE = "from tests.components.compute.aks.reached_program import main\n\nmain()\n"
CLUSTER = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.ContainerService/managedClusters"
    "/aks-shop-blue"
)


@dataclass(frozen=True, kw_only=True)
class Away:
    """A program, and the cluster that it has to find."""

    program: Program
    plane: ControlPlane
    management: ManagementApi

    def asked_for_the_address(self) -> int:
        """How often the program has asked Azure where the cluster is."""
        calls = self.management.azure.calls_file
        return calls.read_text().count("listClusterUserCredential") if calls.exists() else 0

    def refused(self) -> str:
        """What an `up` says that the cluster stops, and nothing is in it then."""
        began = time.monotonic()
        up = self.program.up()
        print(f"an up that is refused: {time.monotonic() - began:.0f} s")
        assert up.code != 0, up.text
        assert NAMESPACE not in self.plane.kubectl("get", "namespaces", "-o", "name")
        return up.text


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    azure = Azure(tmp_path / "azure.json")
    management = ManagementApi(azure)
    with control_plane(programs.cached(), users={"deploy": []}) as plane, served(azure) as port:
        management.api_servers[CLUSTER.lower()] = ApiServer(url=plane.server, authority=plane.ca.read_text())
        management.cluster_token = plane.tokens["deploy"]
        written = Program.written(tmp_path, SOURCE, port)
        environment = {
            **written.environment,
            "ARM_ENDPOINT": management.url,
            **identity_environment(management.url),
            "PATH": os.pathsep.join([plane.path, written.environment["PATH"]]),
        }
        yield Away(program=replace(written, environment=environment), plane=plane, management=management)
    management.close()


def test_a_cluster_is_reached_by_the_caller_and_looked_for_in_each_preview(away: Away) -> None:
    program, plane = away.program, away.plane
    before = program.preview()
    assert before.code == 0, before.text
    # Of a new cluster neither a way nor a right is waited for longer than a minute.
    there = away.management.api_servers[CLUSTER.lower()]
    nowhere = there._replace(url=f"https://127.0.0.1:{free_port()}")
    away.management.api_servers[CLUSTER.lower()] = nowhere
    assert f"Cluster aks-shop-blue: {nowhere.url} cannot be reached" in away.refused()
    away.management.api_servers[CLUSTER.lower()] = there
    assert "Cluster aks-shop-blue: who runs this may not create namespaces in the whole cluster" in away.refused()
    asked = away.asked_for_the_address()

    def honoured() -> None:
        """Azure honours the assignment some moments after the cluster is there."""
        until(lambda: away.asked_for_the_address() > asked, "the program asks for the cluster's address", 600)
        plane.apply(OF_WHO_DEPLOYS)

    azure = threading.Thread(target=honoured)
    azure.start()
    up = program.up()
    azure.join()
    assert up.code == 0, up.text
    assert len(plane.get("networkpolicies", "-n", NAMESPACE)["items"]) == 1
    assert program.preview("--expect-no-changes").code == 0

    exported = program.run("stack", "export", "--stack=test").out
    assert "kubernetes-token" in exported
    assert not [user for user, token in plane.tokens.items() if token in exported]

    plane.kubectl("delete", "clusterrolebinding", "deploy")
    refused = program.preview()
    assert refused.code != 0
    assert f"Cluster aks-shop-blue: who runs this may not get namespaces in namespace {NAMESPACE}" in refused.text
    plane.apply(OF_WHO_DEPLOYS)

    plane.processes["kube-apiserver"].kill()
    silent = program.preview()
    assert silent.code != 0
    assert f"Cluster aks-shop-blue: {plane.server} cannot be reached" in silent.text


def test_a_namespace_is_what_was_rendered(away: Away) -> None:
    """The thread's rights are there from the start: nothing is waited for."""
    away.plane.apply(OF_WHO_DEPLOYS)
    up = away.program.up()
    assert up.code == 0, up.text
    found = away.plane.get("resourcequota", "workloads", "-n", NAMESPACE)["spec"]["hard"]
    assert found == namespace_objects(place(namespace=NAMESPACE))["quota"]["spec"]["hard"]
    gone = away.program.destroy()
    assert gone.code == 0, gone.text
    assert NAMESPACE not in away.plane.kubectl("get", "namespaces", "-o", "name")
