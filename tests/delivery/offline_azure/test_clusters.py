"""A cluster by the real engine: made, looked at again, changed in place, and gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from components.azure.arm import Arm
from components.azure.cluster_access import Address, address
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.clusters import ApiServer
from delivery.offline_azure.rest import BEARER, ManagementApi, identity_environment
from tests.end_to_end.azure.living import done
from tests.support.engine import Program, served

SOURCE = (Path(__file__).with_name("cluster_program.py")).read_text()
CLUSTER = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.ContainerService/managedClusters"
    "/aks-shop-blue"
)


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path / "azure.json")


@pytest.fixture
def program(azure: Azure, tmp_path: Path) -> Iterator[Program]:
    management = ManagementApi(azure)
    with served(azure) as port:
        written = Program.written(tmp_path, SOURCE, port)
        reached = {"ARM_ENDPOINT": management.url, **identity_environment(management.url)}
        yield replace(written, environment={**written.environment, **reached})
    management.close()


def test_a_life(azure: Azure, program: Program) -> None:
    up = program.up()
    assert up.code == 0, up.text
    assert json.loads(program.run("stack", "output", "--json", "--stack=test").out)["issuer"].startswith("https://")
    # Two credentials of one identity, written one after the other: Azure refuses both at once.
    assert sum("federatedidentitycredentials" in identifier for identifier in azure.resources) == 2

    # The pool that the cluster was created with is no resource, and the cluster's own list is its creation's.
    program.configure(nodes="6")
    assert done(program.up()) == {"aks-pools": "updated"}
    (system,) = azure.resources[CLUSTER.lower()]["inputs"]["agentPoolProfiles"]
    assert (system["maxCount"], system.get("nodeTaints")) == (6, [])
    # An update of the cluster sends that list once more.
    program.configure(version="1.36", work="yes")
    assert done(program.up()) == {"aks-cluster": "updated", "aks-pool-work": "created", "aks-pools": "updated"}
    (system,) = azure.resources[CLUSTER.lower()]["inputs"]["agentPoolProfiles"]
    assert (system["maxCount"], system["nodeTaints"]) == (6, ["CriticalAddonsOnly=true:NoSchedule"])

    looked = program.run("refresh", "--preview-only", "--expect-no-changes", "--stack=test")
    assert looked.code == 0, looked.text
    # A night: the autoscaler has changed what nobody asks for.
    azure.resources[f"{CLUSTER}/agentPools/work".lower()]["inputs"]["count"] = 3
    seen = program.preview("--refresh", "--expect-no-changes")
    assert seen.code == 0, seen.text
    program.configure(size="Standard_D4ads_v5")
    refused = program.preview()
    assert refused.code != 0
    assert "node pool system: got nodes of size Standard_D4ads_v5; expected Standard_D2ads_v5" in refused.text
    assert program.destroy().code == 0
    assert azure.resources == {}


def test_azure_says_where_a_cluster_is(azure: Azure) -> None:
    azure.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "rg-shop", "location": "westeurope"})
    azure.create(
        "azure-native:containerservice:ManagedCluster",
        {
            "resourceGroupName": "rg-shop",
            "resourceName": "aks-shop-blue",
            "location": "westeurope",
            "dnsPrefix": "shop",
        },
    )
    management = ManagementApi(azure)
    try:
        arm = Arm(api_version="2025-09-01", endpoint=management.url, token=lambda _: BEARER)
        assert address(arm, CLUSTER).server.endswith(".hcp.westeurope.azmk8s.io:443")
        management.api_servers[CLUSTER.lower()] = ApiServer(url="https://127.0.0.1:6443", authority="CA")
        assert address(arm, CLUSTER) == Address(server="https://127.0.0.1:6443", authority="Q0E=")
        refused = requests.post(
            f"{management.url}{CLUSTER}two/listClusterUserCredential?api-version=2025-09-01",
            headers={"Authorization": f"Bearer {BEARER}"},
            timeout=10,
        )
        assert refused.status_code == 404
    finally:
        management.close()
