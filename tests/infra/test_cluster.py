"""How a stack in a cluster is watched, as the program registers it."""

from __future__ import annotations

import json

import pytest

from infra.settings.profiles import ComputeKind
from tests.support.recorder import Graph
from tests.support.stacks import STACKS, graph

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
