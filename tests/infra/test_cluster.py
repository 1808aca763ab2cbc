"""How a stack in a cluster is watched, as the program registers it."""

from __future__ import annotations

import json
import re

import pytest

from components.azure.roles import AzureRole
from infra.settings.model import SettingsError, parse
from infra.settings.profiles import ComputeKind
from tests.support.recorder import Graph
from tests.support.stacks import STACKS, configuration, graph

QUERY_RULE = "azure-native:monitor:ScheduledQueryRule"


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


HUB = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-platform/providers"
ANOTHER_OWNERS = {
    "id": f"{HUB}/Microsoft.ContainerService/managedClusters/aks-platform",
    "namespace": "team-mlflow",
    "nodeRange": "10.8.0.0/22",
    "gatewaySubnet": "snet-ingress",
    "gatewayAddress": "10.8.4.10",
    "workspace": f"{HUB}/Microsoft.OperationalInsights/workspaces/log-platform",
}
PEER = f"{HUB}/Microsoft.Network/virtualNetworks/vnet-platform"


def in_a_cluster_of_another_owner(stack: str) -> Graph:
    """A stack whose network has the cluster's as its one peer."""
    network = {**configuration(stack).get("network", {}), "clientNetworks": [PEER]}
    return graph(stack, compute=ComputeKind.AKS.value, aks={"existingCluster": ANOTHER_OWNERS}, network=network)


def test_of_a_cluster_of_another_owner_nothing_is_created_or_changed() -> None:
    found = in_a_cluster_of_another_owner("prod")
    names = [name for name in found.names if found.is_custom(name)]
    assert not [name for name in names if "containerservice" in found.type(name)]
    assert not [name for name in names if name.startswith(("network-aks-", "insights-", "identity-cluster-control"))]
    scopes = [found.inputs(name).get("scope") for name in names if "RoleAssignment" in found.type(name)]
    scopes += [found.inputs(name).get("resourceUri") for name in names]
    assert not [scope for scope in scopes if HUB in str(scope)]
    assert found.inputs("existing")["networks"] == [PEER]


def test_a_workflow_may_let_its_nodes_pull_from_the_registry_of_the_stack() -> None:
    found = in_a_cluster_of_another_owner("prod")
    nodes = found.inputs("identity-cluster-nodes-images")["principalId"]
    condition = found.inputs("identity-deploy-rbac-administrator")["condition"]
    assert re.search(rf"{AzureRole.ACR_PULL.value}\}} AND @\w+\[[^]]*PrincipalId\][^}}]*{nodes}", condition)


def test_its_pods_reach_the_data_and_its_lines_are_watched_where_they_arrive() -> None:
    found = in_a_cluster_of_another_owner("prod")
    for subnet, port in (("postgres", "5432"), ("private-endpoints", "443")):
        rules = {rule["name"]: rule for rule in found.inputs(f"network-{subnet}-rules")["securityRules"]}
        entering = rules["from-callers-inbound"]
        assert (entering["sourceAddressPrefixes"], entering["destinationPortRange"]) == (["10.8.0.0/22"], port)
    links = [name for name in found.names if name.startswith("network-") and name.endswith("zone-link-vnet-platform")]
    zones = ("blob", "postgres", "registry", "vault")
    assert sorted(links) == [f"network-{zone}-zone-link-vnet-platform" for zone in zones]
    gateway = found.inputs("existing-gateway-address")
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    assert gateway["metadata"]["namespace"] == "team-mlflow"
    assert gateway["metadata"]["annotations"][f"{prefix}-internal-subnet"] == "snet-ingress"
    assert gateway["metadata"]["annotations"][f"{prefix}-ipv4"] == "10.8.4.10"
    for rule in found.of_type(QUERY_RULE):
        assert found.inputs(rule)["scopes"] == [ANOTHER_OWNERS["workspace"]], rule
    assert "monitoring-nodes-at-maximum" not in found.names


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"network": {"cidr": "10.40.0.0/24"}}, "network.clientNetworks"),
        (
            {"aks": {"existingCluster": {**ANOTHER_OWNERS, "nodeRange": "10.40.0.0/22"}}},
            "aks.existingCluster.nodeRange",
        ),
        ({"aks": {"existingCluster": {**ANOTHER_OWNERS, "gatewayAddress": "10.300.0.1"}}}, "aks.existingCluster"),
        ({"aks": {"existingCluster": {**ANOTHER_OWNERS, "id": "aks-platform"}}}, "aks.existingCluster.id"),
    ],
)
def test_a_cluster_whose_nodes_could_not_reach_the_data_is_refused(changes: dict[str, object], field: str) -> None:
    given = {
        "compute": "aks",
        "aks": {"existingCluster": ANOTHER_OWNERS},
        "network": {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]},
        **changes,
    }
    with pytest.raises(SettingsError) as refused:
        parse(configuration("dev", **given), "dev")
    assert refused.value.problems[0].field.startswith(field)


def test_addresses_of_a_cluster_in_the_stack_s_own_network_are_solved_by_another_network() -> None:
    """To remove the cluster of another owner would create one."""
    given = {"cidr": "10.0.0.0/24", "clientNetworks": [PEER]}
    existing = {**ANOTHER_OWNERS, "nodeRange": "10.0.0.0/23", "gatewayAddress": "10.0.0.9"}
    with pytest.raises(SettingsError) as refused:
        parse(configuration("dev", compute="aks", aks={"existingCluster": existing}, network=given), "dev")
    assert {problem.remedy for problem in refused.value.problems} == {
        "correct it, or give the stack another network by `pulumi config set --path network.cidr 10.1.0.0/24 -s dev`"
    }
    apart = {**given, "cidr": "10.1.0.0/24"}
    parse(configuration("dev", compute="aks", aks={"existingCluster": existing}, network=apart), "dev")
    existing = {**existing, "nodeRange": "10.0.0.0/8"}
    with pytest.raises(SettingsError, match=r"correct it, or give the stack another network, network\.cidr"):
        parse(configuration("dev", compute="aks", aks={"existingCluster": existing}, network=given), "dev")


@pytest.mark.parametrize(("size", "named"), [("Standard_D2ads_v5", False), ("Standard_D4ads_v5", True)])
def test_a_refusal_of_nodes_for_the_system_names_the_setting_where_their_size_is_another(
    size: str, named: bool
) -> None:
    """The pool that the cluster was created with would get the size of the system's."""
    found = graph("dev", compute="aks", aks={"nodeSize": size, "systemNodes": 1})
    assert ("aks.systemNodes" in found.inputs("aks-blue-pools")["beside"]) is named


def test_what_only_a_cluster_of_the_stack_s_own_has_is_refused_beside_another_owner_s_and_else_not_asked_for() -> None:
    own = {"kubernetesVersion": "1.36", "systemNodes": 1, "administrators": [], "nodeSize": "Standard_D2ads_v5"}
    network = {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]}
    with pytest.raises(SettingsError) as refused:
        parse(
            configuration("dev", compute="aks", aks={**own, "existingCluster": ANOTHER_OWNERS}, network=network), "dev"
        )
    assert {problem.field: problem.remedy for problem in refused.value.problems} == {
        f"aks.{key}": f"pulumi config rm --path aks.{key} -s dev" for key in own
    }
    # Three cores fit no node of the least size, and eight are what its owner's nodes may have.
    large = {"cpu": 3, "memoryMib": 6144}
    given = {"compute": "aks", "network": network, "tracking": large}
    parse(configuration("dev", aks={"existingCluster": ANOTHER_OWNERS}, **given), "dev")
    with pytest.raises(SettingsError, match="which a Standard_D2ads_v5 has room for"):
        parse(configuration("dev", **given), "dev")
