"""What a cluster of another owner has to offer, by Azure's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from components.azure import existing_cluster
from components.azure.arm import Answer, Arm
from components.azure.existing_cluster import ExistingClusterError, ExistingClusterProvider, lacks

GROUP = "/subscriptions/s/resourceGroups/rg-platform/providers"
CLUSTER = f"{GROUP}/Microsoft.ContainerService/managedClusters/aks-platform"
NETWORK = f"{GROUP}/Microsoft.Network/virtualNetworks/vnet-platform"


def cluster(**changes: Any) -> dict[str, Any]:
    """As ManagedClusters_Get answers, with what the checks read."""
    return {
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://issuer/1/"},
            "securityProfile": {"workloadIdentity": {"enabled": True}},
            "networkProfile": {"networkPolicy": "calico"},
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "identityProfile": {"kubeletidentity": {"objectId": "31111111-2222-3333-4444-555555555555"}},
            "agentPoolProfiles": [{"vnetSubnetID": f"{NETWORK}/subnets/nodes"}],
            **changes,
        }
    }


@pytest.mark.parametrize("engine", ["cilium", "azure", "calico"])
def test_a_cluster_that_offers_all_of_it_lacks_nothing(engine: str) -> None:
    assert lacks(cluster(networkProfile={"networkPolicy": engine}), [NETWORK.upper()]) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"powerState": {"code": "Stopped"}}, "az aks start"),
        ({"powerState": {"code": "Stopped"}, "provisioningState": "Stopping"}, "az aks start"),
        ({"provisioningState": "Upgrading"}, "the end of its change, Upgrading: wait for it"),
        ({"provisioningState": "Failed"}, "a change that succeeded, the last one is Failed: az aks show"),
        ({"oidcIssuerProfile": {"enabled": False}}, "--enable-oidc-issuer"),
        ({"securityProfile": {}}, "--enable-workload-identity"),
        ({"networkProfile": {"networkPolicy": "none"}}, "--network-policy cilium"),
        ({"networkProfile": None}, "--network-policy cilium"),
        ({"aadProfile": None}, "--enable-aad --enable-azure-rbac"),
        ({"aadProfile": {"managed": True}}, "--enable-azure-rbac"),
        ({"identityProfile": {}}, "--enable-managed-identity"),
        ({"agentPoolProfiles": [{}]}, "--vnet-subnet-id"),
        ({"agentPoolProfiles": [{"vnetSubnetID": f"{NETWORK}2/subnets/n"}]}, f"peer {NETWORK}2 with the stack's"),
    ],
)
def test_each_thing_that_is_missing_is_said_with_the_command_of_its_owner(
    changes: Mapping[str, Any], says: str
) -> None:
    (found,) = lacks(cluster(**changes), [NETWORK])
    assert says in found


PROPS = {
    "cluster_id": CLUSTER,
    "namespace": "shop",
    "networks": [NETWORK],
    "generation": "",
    "beside": "Run: this",
    "issuer": None,
    "principal_id": None,
}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    said = cluster()

    class Azure(Arm):
        def get(self, path: str) -> Answer:
            assert path == CLUSTER
            return Answer(200, {}, said)

    monkeypatch.setattr(existing_cluster, "Arm", lambda **_: Azure(api_version="", endpoint="https://azure.invalid"))
    return said


def test_its_issuer_and_who_pulls_are_read_and_a_new_issuer_is_found(answer: dict[str, Any]) -> None:
    provider = ExistingClusterProvider()
    outs = provider.create(dict(PROPS)).outs or {}
    assert outs == PROPS | {"issuer": "https://issuer/1/", "principal_id": "31111111-2222-3333-4444-555555555555"}
    assert not provider.diff(CLUSTER, outs, dict(PROPS)).changes
    answer["properties"]["oidcIssuerProfile"]["issuerURL"] = "https://issuer/2/"
    assert provider.diff(CLUSTER, outs, dict(PROPS)).changes


def test_other_names_are_for_another_place(answer: dict[str, Any]) -> None:
    """With other names alone all of it would be created a second time, beside itself."""
    provider = ExistingClusterProvider()
    outs = provider.create(dict(PROPS)).outs or {}
    for identifier in (CLUSTER, CLUSTER.upper()):
        with pytest.raises(ExistingClusterError, match=r"Cluster \S+, namespace shop: .*\. Run: this$"):
            provider.diff(CLUSTER, outs, {**PROPS, "cluster_id": identifier, "generation": "green"})
    moved = provider.diff(CLUSTER, outs, {**PROPS, "namespace": "other", "generation": "green"})
    assert (moved.changes, moved.replaces) == (True, None)
    answer.clear()  # Another one is looked at when it is created.
    elsewhere = provider.diff(CLUSTER, outs, {**PROPS, "cluster_id": f"{CLUSTER}-2", "generation": "green"})
    assert (elsewhere.changes, elsewhere.replaces) == (True, ["cluster_id"])


def test_a_state_of_an_earlier_version_is_left_as_it_is(answer: dict[str, Any]) -> None:
    """An update of it would hide issuer and identity from the preview."""
    provider, added = ExistingClusterProvider(), ("namespace", "generation", "beside")
    outs = provider.create(dict(PROPS)).outs or {}
    earlier = {key: value for key, value in outs.items() if key not in added}
    assert not provider.diff(CLUSTER, earlier, dict(PROPS)).changes
    assert provider.diff(CLUSTER, earlier, {**PROPS, "generation": "green"}).changes
    answer["properties"]["oidcIssuerProfile"]["issuerURL"] = "https://issuer/2/"
    assert provider.diff(CLUSTER, earlier, dict(PROPS)).changes


def test_one_that_lacks_something_is_refused_in_an_up_and_in_later_previews(answer: dict[str, Any]) -> None:
    provider = ExistingClusterProvider()
    outs = provider.create(dict(PROPS)).outs or {}
    answer["properties"]["securityProfile"] = {}
    words = "Cluster aks-platform: lacks workload identity: .* Its owner changes it; nothing was changed here"
    for ask in (lambda: provider.create(dict(PROPS)), lambda: provider.diff(CLUSTER, outs, dict(PROPS))):
        with pytest.raises(ExistingClusterError, match=words):
            ask()
