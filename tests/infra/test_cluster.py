"""How a stack in a cluster is watched, as the program registers it."""

from __future__ import annotations

import json
import re

import pytest

from components.azure.network_plan import CALLERS_RULE
from components.azure.roles import AzureRole
from infra.settings.profiles import ComputeKind
from tests.support.recorder import Graph
from tests.support.stacks import ANOTHER_OWNERS, HUB, PEER, STACKS, configuration, graph

QUERY_RULE = "azure-native:monitor:ScheduledQueryRule"
CREDENTIAL = "azure-native:managedidentity:FederatedIdentityCredential"
PROVIDER = "pulumi:providers:kubernetes"


@pytest.fixture(params=STACKS)
def in_cluster(request: pytest.FixtureRequest) -> tuple[str, Graph]:
    stack: str = request.param
    return stack, graph(stack, compute=ComputeKind.AKS.value)


def test_the_cluster_s_lines_and_counts_arrive_in_the_workspace_of_the_stack(in_cluster: tuple[str, Graph]) -> None:
    stack, found = in_cluster
    rule = found.inputs("insights-blue-rule")
    (extension,) = rule["dataSources"]["extensions"]
    assert extension["extensionSettings"]["dataCollectionSettings"]["namespaces"] == [f"mlflow-{stack}"]
    (destination,) = rule["destinations"]["logAnalytics"]
    assert destination["workspaceResourceId"].endswith("/monitoring-workspace")
    assert found.inputs("insights-blue-association")["resourceUri"] == found.inputs("aks-blue-logs")["resourceUri"]


def test_its_alerts_and_its_workbook_read_the_tables_of_the_cluster(in_cluster: tuple[str, Graph]) -> None:
    stack, found = in_cluster
    rules = {name: found.inputs(name) for name in found.of_type(QUERY_RULE)}
    asked = [json.dumps(rule["criteria"]) for rule in rules.values()]
    assert not [query for query in asked if "ContainerAppConsoleLogs" in query]
    assert {"monitoring-no-ready-pod", "monitoring-gateway-certificate", "monitoring-nodes-at-maximum"} <= rules.keys()
    assert "The cluster" in found.inputs("monitoring-workbook")["serializedData"]
    most = {"dev": {"system": 3}, "staging": {"services": 9, "system": 3}, "prod": {"services": 12, "system": 4}}
    (nodes,) = rules["monitoring-nodes-at-maximum"]["criteria"]["allOf"]
    for pool, count in most[stack].items():
        assert f'pool == "{pool}" and fewest >= {count}' in nodes["query"]


def test_a_stack_on_container_apps_has_none_of_it() -> None:
    names = graph("dev").names
    assert not [name for name in names if "insights" in name or name == "monitoring-no-ready-pod"]


def in_a_cluster_of_another_owner(stack: str, generation: str = "blue", **existing: str) -> Graph:
    """A stack whose network has the cluster's as its one peer."""
    network = {**configuration(stack).get("network", {}), "clientNetworks": [PEER]}
    aks = {"existingCluster": {**ANOTHER_OWNERS, **existing}, "generation": generation}
    return graph(stack, compute=ComputeKind.AKS.value, aks=aks, network=network)


# What two clusters of other owners may have in common: the look at them, and rights of whoever is in neither.
SHARED = {
    "existing",
    # Of whichever identity pulls images to the nodes: of two clusters it can be one.
    "identity-cluster-nodes-images",
    *(f"identity-{role}-artifacts" for role in ("artifacts", "registry", "tracking")),
    *(f"identity-{role}-webhook-encryption-key" for role in ("registry", "tracking")),
    "identity-tracking-crypto-kek-passphrase",
    "identity-gateway-gateway-tls",
    "identity-prepare-vault",
    *(f"identity-deploy-{role}" for role in ("contributor", "locks-contributor", "rbac-administrator")),
    "identity-preview-reader",
    # Of workflows: they sign in by GitHub.
    *("identity-deploy-github-prod-20788df0", "identity-preview-github-prod-preview-4fa4286b"),
}


def of_clusters(found: Graph) -> set[str]:
    """What is in a cluster, the way to it, and every right and every credential."""
    kinds = ("kubernetes:", "pulumi:providers:kubernetes", "pulumi-python:dynamic/aks:")
    rights = ("azure-native:authorization:RoleAssignment", CREDENTIAL)
    return {name for name in found.names if found.type(name).startswith((*kinds, *rights))}


@pytest.mark.parametrize(
    "moved",
    [
        {"id": ANOTHER_OWNERS["id"].replace("aks-platform", "aks-other")},
        {"id": ANOTHER_OWNERS["id"].replace("rg-platform", "rg-other")},
        {"namespace": "team-other"},
    ],
    ids=["another", "one of the same name", "another namespace"],
)
def test_what_is_in_a_cluster_of_another_owner_is_created_again_in_another_one_or_namespace(
    moved: dict[str, str],
) -> None:
    """As blue and green are: under one name it would be changed in place, in a cluster that has none of it."""
    first = in_a_cluster_of_another_owner("prod")
    other = in_a_cluster_of_another_owner("prod", generation="green", **moved)
    assert len(of_clusters(first)) == len(of_clusters(other)) > 60
    assert of_clusters(first) & of_clusters(other) == SHARED
    providers = [found.inputs(name) for found in (first, other) for name in found.of_type(PROVIDER)]
    assert [each["clusterIdentifier"] for each in providers] == ["prod-existing", "prod-existing-green"]


def test_a_move_is_asked_for_and_the_refusal_without_it_says_how() -> None:
    for chosen, other in (("blue", "green"), ("green", "blue")):
        found = in_a_cluster_of_another_owner("prod", generation=chosen)
        said = f"Run: pulumi config set --path aks.generation {other} -s prod"
        (access,) = found.of_type("pulumi-python:dynamic/aks:ClusterAccess")
        assert [found.inputs(name)["beside"] for name in ("existing", access)] == [said, said]
    own = graph("prod", compute=ComputeKind.AKS.value)
    assert own.inputs("access-blue")["beside"] == ""


def test_a_stack_in_a_cluster_of_another_owner_has_the_names_that_it_has() -> None:
    """With others, all of it would be created a second time beside itself."""
    found, own = in_a_cluster_of_another_owner("prod"), graph("prod", compute=ComputeKind.AKS.value)
    objects, of_own = (
        {name for name in each.names if each.type(name).startswith("kubernetes:")} for each in (found, own)
    )
    assert objects == {name.replace("blue-", "existing-", 1) for name in of_own}
    marks = {
        "artifacts": "b034005a",
        "gateway": "c3663759",
        "prepare": "aed59809",
        "registry": "974322b6",
        "tracking": "b8a70773",
    }
    assert of_clusters(found) - objects - SHARED == {
        *("access-existing", "cluster-existing"),
        *(f"existing-{role}-ready" for role in marks if role != "prepare"),
        *(f"identity-{role}-aks-platform-{role}-{mark}" for role, mark in marks.items()),
    }


def test_of_a_cluster_of_another_owner_nothing_is_created_or_changed() -> None:
    found = in_a_cluster_of_another_owner("prod")
    names = [name for name in found.names if found.is_custom(name)]
    assert not [name for name in names if "containerservice" in found.type(name)]
    assert not [name for name in names if name.startswith(("network-aks-", "insights-", "identity-cluster-control"))]
    scopes = [found.inputs(name).get("scope") for name in names if "RoleAssignment" in found.type(name)]
    scopes += [found.inputs(name).get("resourceUri") for name in names]
    assert not [scope for scope in scopes if HUB in str(scope)]
    (looked_up,) = found.of_type("pulumi-python:dynamic/aks:ExistingCluster")
    assert found.inputs(looked_up)["networks"] == [PEER]


def test_a_workflow_may_let_its_nodes_pull_from_the_registry_of_the_stack() -> None:
    found = in_a_cluster_of_another_owner("prod")
    nodes = found.inputs("identity-cluster-nodes-images")["principalId"]
    condition = found.inputs("identity-deploy-rbac-administrator")["condition"]
    assert re.search(rf"{AzureRole.ACR_PULL.value}\}} AND @\w+\[[^]]*PrincipalId\][^}}]*{nodes}", condition)


def test_its_pods_reach_the_data_and_its_lines_are_watched_where_they_arrive() -> None:
    found = in_a_cluster_of_another_owner("prod")
    for subnet, port in (("postgres", "5432"), ("private-endpoints", "443")):
        rules = {rule["name"]: rule for rule in found.inputs(f"network-{subnet}-rules")["securityRules"]}
        entering = rules[CALLERS_RULE]
        assert (entering["sourceAddressPrefixes"], entering["destinationPortRange"]) == (["10.8.0.0/22"], port)
    links = [name for name in found.names if name.startswith("network-") and name.endswith("zone-link-vnet-platform")]
    zones = ("blob", "postgres", "registry", "vault")
    assert sorted(links) == [f"network-{zone}-zone-link-vnet-platform" for zone in zones]
    (address,) = (name for name in found.names if name.endswith("-gateway-address"))
    gateway = found.inputs(address)
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    assert gateway["metadata"]["namespace"] == "team-mlflow"
    assert gateway["metadata"]["annotations"][f"{prefix}-internal-subnet"] == "snet-ingress"
    assert gateway["metadata"]["annotations"][f"{prefix}-ipv4"] == "10.8.4.10"
    for rule in found.of_type(QUERY_RULE):
        assert found.inputs(rule)["scopes"] == [ANOTHER_OWNERS["workspace"]], rule
    assert "monitoring-nodes-at-maximum" not in found.names


@pytest.mark.parametrize("compute", ["container_apps", "aks"])
def test_previous_nodes_resolve_the_data_for_as_long_as_they_are_let_in(compute: str) -> None:
    """Their pods serve until the end of a move; by the public names they would come to a closed door."""
    network = {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]}
    links = {
        ranges: {name for name in found.names if name.startswith("network-") and name.endswith("link-vnet-platform")}
        for ranges in ((), ("10.8.0.0/22",))
        for found in (graph("dev", compute=compute, network={**network, "callerRanges": ranges}),)
    }
    assert links == {
        (): set(),
        ("10.8.0.0/22",): {f"network-{zone}-zone-link-vnet-platform" for zone in ("postgres", "blob", "vault")},
    }


@pytest.mark.parametrize(("size", "named"), [("Standard_D2ads_v5", False), ("Standard_D4ads_v5", True)])
def test_a_refusal_of_nodes_for_the_system_names_the_setting_where_their_size_is_another(
    size: str, named: bool
) -> None:
    """The pool that the cluster was created with would get the size of the system's."""
    found = graph("dev", compute="aks", aks={"nodeSize": size, "systemNodes": 1})
    assert ("aks.systemNodes" in found.inputs("aks-blue-pools")["beside"]) is named
