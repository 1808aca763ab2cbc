"""Moves of stacks into clusters, between them and out: the real engine, provider and API servers, an offline Azure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from components.mlflow.roles import Role
from delivery.azure_types.type_tokens import CLUSTER
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.offline_azure.bootstrapped import provide
from delivery.offline_azure.clusters import ApiServer
from delivery.offline_azure.computed_outputs import computed
from delivery.offline_azure.product import Product
from delivery.offline_azure.running import Result, must
from delivery.preview import plan
from delivery.preview.findings.network import cut_off
from delivery.preview.findings.refusals import refusals
from delivery.preview.reasons import Reason
from tests.end_to_end.azure.living import Cloud, done, failed
from tests.end_to_end.kubernetes.stacks import (
    CREDENTIALS,
    an_update_of_the_cluster_replaces_neither_it_nor_the_way_in,
    nothing_is_left,
    outputs,
    read,
    stack_of,
    started,
    timed,
    who_may_only_look_changes_nothing,
)
from tests.support.kubernetes.control_plane import ControlPlane

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1800)]

WORKLOAD_IDENTITY = {"securityProfile": {"workloadIdentity": {"enabled": True}}}
PLATFORM = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-platform/providers"
FIRST, SECOND = (f"{PLATFORM}/Microsoft.ContainerService/managedClusters/aks-{name}" for name in ("platform", "ml"))
EXISTING = {
    "id": FIRST,
    "nodeRange": "10.8.0.0/22",
    "gatewaySubnet": "snet-ingress",
    "gatewayAddress": "10.8.4.10",
    "workspace": f"{PLATFORM}/Microsoft.OperationalInsights/workspaces/log-platform",
}
NETWORK = {
    "cidr": "10.40.0.0/24",
    "clientNetworks": [f"{PLATFORM}/Microsoft.Network/virtualNetworks/vnet-platform"],
}
# The pages of the gateway's name may read blobs: another name is another origin.
ORIGIN = {("store-blob-service", "update")}


def test_a_protected_stack_moves_into_a_cluster_and_back_and_its_data_stays(cloud: Cloud, plane: ControlPlane) -> None:
    """As docs/runbooks/aks.md: before anything has changed a preview says what Azure would refuse under a lock."""
    product = stack_of(cloud, plane, "dev", protect="true", purgeProtection="true")
    must(product.up())
    before = outputs(product)

    product.configure(compute="aks")
    pulls = {f"identity-{role}-images" for role in Role}
    assert refused(product.preview(*plan.FLAGS)) == pulls
    product.configure(compute="container_apps", protect="false")
    assert set(done(product.up()).values()) == {"deleted"}
    product.configure(compute="aks")
    preview = product.preview(*plan.FLAGS)
    assert (refused(preview), of_data(preview)) == (set(), ORIGIN)
    timed("up of dev into the cluster", product.up)
    assert not [one for one in cloud.azure.resources.values() if one["type"].startswith("azure-native:app:")]
    must(product.preview("--expect-no-changes", "--diff"))
    who_may_only_look_changes_nothing(cloud, plane, product)
    an_update_of_the_cluster_replaces_neither_it_nor_the_way_in(product)

    product.configure(protect="true")
    must(product.up())
    product.configure(compute="container_apps", aks=None)
    assert refused(product.preview(*plan.FLAGS)) > {"aks-blue-cluster", "identity-cluster-nodes-images"}
    product.configure(compute="aks", protect="false")
    assert set(done(product.up()).values()) == {"deleted"}
    product.configure(compute="container_apps")
    assert of_data(product.preview("--json")) == ORIGIN
    timed("up of dev out of the cluster", product.up)
    after = outputs(product)
    assert {key for key in before | after if before.get(key) != after.get(key)} == {"tags"}
    nothing_is_left(plane, "mlflow-dev")
    assert not [one for one in cloud.azure.resources.values() if ":containerservice:" in one["type"]]
    must(product.destroy())
    assert cloud.azure.resources == {}


def test_a_stack_moves_between_its_own_clusters_and_those_of_other_owners_and_leaves_theirs_as_they_are(
    cloud: Cloud, plane: ControlPlane
) -> None:
    """As docs/runbooks/aks.md: out of its own into another owner's, from there into yet another one's, and back."""
    platform(cloud)
    theirs = dict(cloud.azure.resources)
    product = stack_of(cloud, plane, "dev", compute="aks", network=NETWORK)
    with started(**plane.tokens) as beside:
        # The stack's own cluster and the second one of others take turns in one API server.
        (own,) = (key for key in cloud.management.api_servers if key.endswith("-blue"))
        cloud.management.api_servers[FIRST.lower()] = cloud.management.api_servers[own]
        for cluster in (own, SECOND.lower()):
            cloud.management.api_servers[cluster] = ApiServer(url=beside.server, authority=beside.ca.read_text())
        timed("up of dev in a cluster of its own", product.up)

        product.configure(aks={"existingCluster": EXISTING})
        assert "lacks workload identity: az aks update --enable-workload-identity" in failed(product.up())
        enable_workload_identity(cloud)
        moved(cloud, product, "into a cluster of another owner")
        nothing_is_left(beside, "mlflow-dev")
        assert addresses(plane) == ["10.8.4.10"]
        assert CREDENTIALS.findall(product.run("stack", "export").out) == []

        # Neither another cluster under the same names, nor the same under others: both are refused with the command.
        must(product.run("config", "set", "--path", "aks.generation", "green"))
        assert pasted(product, failed(product.preview())) == "pulumi config set --path aks.generation blue -s dev"
        for key, value in {"id": SECOND, "nodeRange": "10.9.0.0/22", "gatewayAddress": "10.9.4.10"}.items():
            must(product.run("config", "set", "--path", f"aks.existingCluster.{key}", value))
        assert pasted(product, failed(product.preview())) == "pulumi config set --path aks.generation green -s dev"

        # Without the next setting its pods would lose the data while they still serve, and a preview says so.
        advised = [
            reason.remedy for reason in cut_off(read(product.preview(*plan.FLAGS))) if isinstance(reason, Reason)
        ]
        assert advised == ["pulumi config set --path 'network.callerRanges[0]' 10.8.0.0/22 -s dev"]
        must(product.run("config", "set", "--path", "network.callerRanges[0]", "10.8.0.0/22"))
        moved(cloud, product, "into a cluster of yet another owner")
        nothing_is_left(plane, "mlflow-dev")
        assert addresses(beside) == ["10.9.4.10"]
        must(product.run("config", "rm", "--path", "network.callerRanges"))
        assert done(product.up()) == {f"network-{name}-rules": "updated" for name in ("postgres", "private-endpoints")}

        must(product.run("config", "rm", "--path", "aks.existingCluster"))
        must(product.run("config", "set", "--path", "network.callerRanges[0]", "10.9.0.0/22"))
        moved(cloud, product, "back into the stack's own")
        nothing_is_left(beside, "mlflow-dev")
        assert addresses(plane) == [outputs(product)["gateway_address"]]
        must(product.destroy())
        nothing_is_left(plane, "mlflow-dev")
    theirs_are_as_they_were(cloud, theirs)


def test_a_first_up_goes_into_a_cluster_of_another_owner(cloud: Cloud, plane: ControlPlane) -> None:
    platform(cloud)
    enable_workload_identity(cloud)
    theirs = dict(cloud.azure.resources)
    settings = {"compute": "aks", "network": NETWORK, "aks": {"existingCluster": EXISTING}}
    product = stack_of(cloud, plane, "dev", **settings)
    cloud.management.api_servers[FIRST.lower()] = ApiServer(url=plane.server, authority=plane.ca.read_text())
    timed("first up of dev into a cluster of another owner", product.up)
    assert addresses(plane) == ["10.8.4.10"]
    must(product.preview("--expect-no-changes", "--diff"))
    must(product.destroy())
    nothing_is_left(plane, "mlflow-dev")
    theirs_are_as_they_were(cloud, theirs)


def enable_workload_identity(cloud: Cloud) -> None:
    for cluster in (FIRST, SECOND):
        offers = {**cloud.azure.resources[cluster.lower()]["inputs"], **WORKLOAD_IDENTITY}
        cloud.azure.update(CLUSTER, cluster, offers)


def theirs_are_as_they_were(cloud: Cloud, before: Mapping[str, Any]) -> None:
    """What others own is all that is left, and nothing was made, changed or deleted below their clusters."""
    assert cloud.azure.resources.keys() == before.keys()
    touched = {
        call["id"].lower() for call in cloud.azure.calls() if call["operation"] in ("create", "update", "delete")
    }
    assert not [each for each in touched if each.startswith((f"{FIRST.lower()}/", f"{SECOND.lower()}/"))]


def pasted(product: Product, said: str) -> str:
    """Run the command that a refusal names, and return it."""
    (command,) = set(re.findall(r"Run: (pulumi config set --path aks\.generation \w+ -s \w+)", said))
    must(product.run(*command.split()[1:]))
    return str(command)


def addresses(plane: ControlPlane) -> list[str]:
    """The gateway's addresses in dev's namespace."""
    gateway = plane.get("service", "gateway", "-n", "mlflow-dev")
    return [each["ip"] for each in gateway["status"]["loadBalancer"]["ingress"]]


def moved(cloud: Cloud, product: Product, where: str) -> None:
    """Move a stack by its settings in one `up`: data stays, its name gets another address, the previous place is empty.

    Whatever serves until the end of the update is let in to the data by the rules that Azure gets at its beginning.
    """
    before = outputs(product)
    serving = callers(cloud)
    preview = product.preview(*plan.FLAGS)
    assert of_data(preview) == set()
    assert list(cut_off(read(preview))) == []
    timed(f"move of dev {where}", product.up)
    assert serving <= callers(cloud)
    after = outputs(product)
    assert {key for key in before if before[key] != after[key]} == {"cluster", "gateway_address"}
    must(product.preview("--expect-no-changes", "--diff"))
    group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-mlflow-dev/".lower()
    own = [key for key in cloud.azure.resources if key.startswith(group) and "/microsoft.containerservice/" in key]
    assert bool(own) is (after["cluster"] == "aks-mlflow-dev-green")


def callers(cloud: Cloud) -> set[str]:
    """The ranges from which dev's database is called, as Azure has them."""
    (group,) = (
        one["inputs"]
        for one in cloud.azure.resources.values()
        if one["type"].endswith(":NetworkSecurityGroup") and one["id"].endswith("-postgres")
    )
    rules = [rule for rule in group["securityRules"] if rule["name"].startswith("from-")]
    return {
        each
        for rule in rules
        for each in (rule.get("sourceAddressPrefixes") or [rule["sourceAddressPrefix"]])
        if rule["access"] == "Allow"
    }


def platform(cloud: Cloud) -> None:
    """Two clusters as their owner has them, with network and workspace. They lack workload identity."""
    group, place = {"resourceGroupName": "rg-platform"}, {"location": "westeurope"}
    subnet = f"{PLATFORM}/Microsoft.Network/virtualNetworks/vnet-platform/subnets/nodes"
    space = {"addressPrefixes": ["10.8.0.0/16"]}
    pool = {"name": "system", "mode": "System", "vmSize": "Standard_D4ads_v5", "count": 3, "vnetSubnetID": subnet}
    nodes = f"{PLATFORM}/Microsoft.ManagedIdentity/userAssignedIdentities/id-nodes"
    pulls = computed("azure-native:managedidentity:UserAssignedIdentity", nodes, {})["principalId"]
    beside: Mapping[str, Mapping[str, Any]] = {
        "resources:ResourceGroup": place,
        "managedidentity:UserAssignedIdentity": {**place, "resourceName": "id-nodes"},
        "operationalinsights:Workspace": {**place, "workspaceName": "log-platform"},
        "network:VirtualNetwork": {**place, "virtualNetworkName": "vnet-platform", "addressSpace": space},
        "network:Subnet": {
            "virtualNetworkName": "vnet-platform",
            "subnetName": "nodes",
            "addressPrefix": "10.8.0.0/22",
        },
    }
    cluster = {
        **place,
        "oidcIssuerProfile": {"enabled": True},
        "aadProfile": {"managed": True, "enableAzureRBAC": True},
        "networkProfile": {"networkPlugin": "azure", "networkPolicy": "calico"},
        "identityProfile": {"kubeletidentity": {"resourceId": nodes, "objectId": pulls}},
        "agentPoolProfiles": [pool],
    }
    for kind, inputs in beside.items():
        cloud.azure.create(f"azure-native:{kind}", {**group, **inputs})
    for name in ("platform", "ml"):
        cloud.azure.create(CLUSTER, {**group, **cluster, "resourceName": f"aks-{name}", "dnsPrefix": name})


def test_a_generation_takes_the_place_of_the_other_and_protected_data_stays(cloud: Cloud, plane: ControlPlane) -> None:
    """As docs/runbooks/aks.md: of a protected stack the previous cluster alone is let go.

    Group and identities are a bootstrap stack's.
    """
    provide(cloud.azure, "dev", "westeurope")
    prepared = {*cloud.azure.resources}
    settings = {"compute": "aks", "protect": "true", "purgeProtection": "true", "bootstrappedBy": "bootstrap"}
    product = stack_of(cloud, plane, "dev", **settings)
    with started(**plane.tokens) as green:
        moved = next(key for key in cloud.management.api_servers if key.endswith("-green"))
        cloud.management.api_servers[moved] = ApiServer(url=green.server, authority=green.ca.read_text())
        must(product.up())
        before = outputs(product)

        product.configure(aks={"generation": "green"})
        assert "aks-blue-cluster" in failed(product.preview())
        (urn,) = re.findall(r"urn:\S+::aks-blue-cluster\b", product.run("stack", "--show-urns").out)
        must(product.run("state", "unprotect", "--yes", urn))
        assert of_data(product.preview("--json")) == set()
        timed("up of another generation", product.up)
        after = outputs(product)
        assert {key for key in before if before[key] != after[key]} == {"cluster", "gateway_address"}
        clusters = [one["id"] for one in cloud.azure.resources.values() if one["type"].endswith(":ManagedCluster")]
        assert [each.rpartition("/")[2] for each in clusters] == ["aks-mlflow-dev-green"]
        nothing_is_left(plane, "mlflow-dev")
        must(product.preview("--expect-no-changes", "--diff"))
        product.configure(protect="false")
        must(product.up())
        must(product.destroy())
        nothing_is_left(green, "mlflow-dev")
    assert cloud.azure.resources.keys() == prepared


def refused(preview: Result) -> set[str]:
    """The resources that `mlflow-platform preview` says Azure or the engine would refuse to change or delete."""
    return {reason.urn.split("::")[-1] for reason in refusals(read(preview)) if isinstance(reason, Reason)}


def of_data(preview: Result) -> set[tuple[str, str]]:
    """What a preview would do to data, or to the subnet of any but the cluster."""
    document = json.loads(must(preview).text[preview.text.index("{") :])
    found = {(step["urn"].split("::")[-1], step["op"]): step["urn"].split("::")[-2] for step in document["steps"]}
    return {
        done
        for done, kind in found.items()
        if done[1] not in ("same", "refresh")
        and re.search(
            r"dbforpostgresql:|storage:|keyvault:|containerregistry:|network/?[a-z0-9]*:(Subnet|Virtual)", kind
        )
        and not done[0].startswith("network-aks-")
    }
