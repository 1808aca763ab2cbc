"""The cluster's graph in its three shapes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from components.azure.aks_cluster import AksCluster, Maintenance
from components.azure.aks_node_pool import NodePool
from components.azure.roles import AzureRole
from tests.components.azure.examples import EXAMPLES, NETWORK, _cluster
from tests.support.recorder import Graph, record, shared


@shared
def graph_of(scenario: str, *, preview: bool) -> Graph:
    return record(lambda: EXAMPLES[AksCluster][scenario]("aks"), preview=preview)


@pytest.fixture(params=[False, True], ids=["up", "preview"])
def built(request: pytest.FixtureRequest) -> Callable[..., Graph]:
    return partial(graph_of, preview=request.param)


SCENARIOS = sorted(EXAMPLES[AksCluster])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_entra_alone_signs_anybody_in_and_nobody_reaches_a_node(built: Callable[..., Graph], scenario: str) -> None:
    cluster = built(scenario).inputs("aks-cluster")
    assert cluster["disableLocalAccounts"] is True
    assert (cluster["aadProfile"]["managed"], cluster["aadProfile"]["enableAzureRBAC"]) == (True, True)
    assert cluster["apiServerAccessProfile"]["disableRunCommand"] is True
    assert cluster["nodeResourceGroupProfile"] == {"restrictionLevel": "ReadOnly"}
    assert cluster["oidcIssuerProfile"] == {"enabled": True}
    assert cluster["securityProfile"]["workloadIdentity"] == {"enabled": True}
    assert cluster["securityProfile"]["imageCleaner"]["enabled"] is True
    pools = [*cluster["agentPoolProfiles"], *map(built(scenario).inputs, pool_names(built(scenario)))]
    assert {pool["securityProfile"]["sshAccess"] for pool in pools} == {"Disabled"}
    assert {pool["enableEncryptionAtHost"] for pool in pools} == {True}


def pool_names(graph: Graph) -> list[str]:
    return graph.of_type("azure-native:containerservice:AgentPool")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pods_have_addresses_of_their_own_and_cilium_holds_them_apart(
    built: Callable[..., Graph], scenario: str
) -> None:
    network = built(scenario).inputs("aks-cluster")["networkProfile"]
    kinds = ("networkPlugin", "networkPluginMode", "networkDataplane", "networkPolicy")
    assert [network[kind] for kind in kinds] == ["azure", "overlay", "cilium", "cilium"]
    assert (network["podCidr"], network["serviceCidr"], network["dnsServiceIP"]) == (
        "100.64.0.0/16",
        "100.65.0.0/20",
        "100.65.0.10",
    )
    assert network["outboundType"] == ("userAssignedNATGateway" if scenario == "max" else "loadBalancer")


def test_a_private_api_server_has_no_public_address_and_a_public_one_names_who_may_call(
    built: Callable[..., Graph],
) -> None:
    private = built("defaults").inputs("aks-cluster")["apiServerAccessProfile"]
    assert (private["enablePrivateCluster"], private["privateDNSZone"]) == (True, "none")
    assert "authorizedIPRanges" not in private
    public = built("public").inputs("aks-cluster")["apiServerAccessProfile"]
    assert (public["enablePrivateCluster"], public["authorizedIPRanges"]) == (False, ["20.1.2.3/32"])
    assert private["subnetId"] == public["subnetId"] == f"{NETWORK}/subnets/aks-apis-aks"


def test_pools_follow_the_clusters_version_and_size_themselves(built: Callable[..., Graph]) -> None:
    """A version on a pool would show as a change after each patch, and a count after each night."""
    graph = built("max")
    (pool,) = pool_names(graph)
    assert pool == "aks-pool-work"
    assert "orchestratorVersion" not in graph.inputs(pool)
    assert graph.options(pool).ignore_changes == ("count",)
    assert graph.inputs("aks-cluster")["kubernetesVersion"] == "1.36"
    assert graph.options("aks-cluster").ignore_changes == ("agentPoolProfiles",)
    assert graph.inputs(pool)["upgradeSettings"] == {
        "maxSurge": "33%",
        "drainTimeoutInMinutes": 30,
        "undrainableNodeBehavior": "Cordon",
    }


def test_every_pool_is_brought_to_its_settings_after_what_was_created(built: Callable[..., Graph]) -> None:
    graph = built("max")
    pools = graph.inputs("aks-pools")["pools"]
    assert [(pool["name"], pool["nodeTaints"]) for pool in pools] == [
        ("system", ["CriticalAddonsOnly=true:NoSchedule"]),
        ("work", []),
    ]
    assert {"aks-cluster", "aks-pool-work"} <= graph.dependencies("aks-pools")
    assert "aks-pools" in graph.dependencies("aks-maintenance-default")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_system_pool_takes_other_pods_only_where_there_is_no_other(
    built: Callable[..., Graph], scenario: str
) -> None:
    (system,) = built(scenario).inputs("aks-cluster")["agentPoolProfiles"]
    taints = ["CriticalAddonsOnly=true:NoSchedule"] if scenario == "max" else None
    assert system.get("nodeTaints") == taints
    assert (system["osDiskType"], system["osDiskSizeGB"]) == ("Ephemeral", 64)


def test_azure_changes_the_cluster_on_three_days_for_four_hours(built: Callable[..., Graph]) -> None:
    graph = built("max")
    windows = {
        graph.inputs(name)["configName"]: graph.inputs(name)["maintenanceWindow"]
        for name in graph.of_type("azure-native:containerservice:MaintenanceConfiguration")
    }
    days = {name: window["schedule"]["weekly"]["dayOfWeek"] for name, window in windows.items()}
    assert days == {
        "default": "Monday",
        "aksManagedNodeOSUpgradeSchedule": "Tuesday",
        "aksManagedAutoUpgradeSchedule": "Thursday",
    }
    assert {(window["durationHours"], window["startTime"]) for window in windows.values()} == {(4, "20:00")}


def test_the_control_plane_is_granted_what_it_needs_before_it_is_made(built: Callable[..., Graph]) -> None:
    graph = built("defaults")
    grants = graph.of_type("azure-native:authorization:RoleAssignment")
    assert {graph.inputs(name)["roleDefinitionId"].rsplit("/", 1)[-1] for name in grants} == {
        AzureRole.NETWORK_CONTRIBUTOR.value,
        AzureRole.MANAGED_IDENTITY_OPERATOR.value,
    }
    assert len(grants) == 4
    assert set(grants) <= graph.dependencies("aks-cluster")


def test_the_log_of_every_read_is_not_paid_for(built: Callable[..., Graph]) -> None:
    logs = built("defaults").inputs("aks-logs")["logs"]
    assert {each["category"] for each in logs} == {
        "kube-audit-admin",
        "guard",
        "cluster-autoscaler",
        "cloud-controller-manager",
    }
    assert all("categoryGroup" not in each for each in logs)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cluster_name": "aks_"}, "cluster_name: got 'aks_'"),
        ({"kubernetes_version": "1.36.3"}, "expected a minor without a patch"),
        ({"kubernetes_version": "1.34"}, "1.35 or later"),
        ({"private": False}, "expected ranges for a public API server"),
        ({"authorized_ranges": ["20.1.2.3/32"]}, "none for a private one"),
        ({"private": False, "authorized_ranges": ["0.0.0.0/0"]}, "is the whole internet"),
        ({"private": False, "authorized_ranges": ["home"]}, "'home' is no IPv4 range"),
        ({"workloads": [NodePool(name="system")]}, "expected each once"),
    ],
)
def test_a_cluster_that_azure_or_a_person_could_not_use_is_refused(changes: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        record(lambda: _cluster("aks", **changes), preview=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "work-load"}, r"NodePool\.name: got 'work-load'"),
        ({"name": "thirteenchars"}, r"NodePool\.name"),
        ({"vm_size": "Standard_B2s"}, r"NodePool\.vm_size: got 'Standard_B2s'; expected one of Standard_D2ads_v5"),
        ({"minimum": 4, "maximum": 3}, r"NodePool\.minimum, maximum: got 4 and 3"),
        ({"minimum": 0}, r"NodePool\.minimum, maximum: got 0 and 3"),
    ],
)
def test_a_pool_that_could_not_be_is_refused(changes: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NodePool(**{"name": "work", **changes})


@pytest.mark.parametrize("hour", [-1, 21])
def test_a_window_that_would_end_on_another_day_is_refused(hour: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 20"):
        Maintenance(hour=hour)


def test_every_argument_of_the_cluster_but_its_first_pool_has_the_pools_looked_at_again() -> None:
    """An update of the cluster sends its pools as they were at its creation."""

    def known(**changes: Any) -> Any:
        return record(lambda: _cluster("aks", **changes), preview=False).inputs("aks-pools")["cluster"]

    assert known() == known() == known(system=NodePool(name="system", maximum=9))
    different = [
        *(known(nat_gateway=True), known(kubernetes_version="1.35"), known(tags={"owner": "b"})),
        known(administrators=["20000000-0000-0000-0000-000000000001"]),
    ]
    assert len({known(), *different}) == 5
