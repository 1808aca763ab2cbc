"""What of a cluster a stack's file cannot say: nodes without addresses, another owner's cluster out of reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from infra.rights import SECRETS
from infra.settings.model import SettingsError, parse
from infra.settings.problems import Problem
from tests.support.stacks import ANOTHER_OWNERS, PEER, configuration


def refused(stack: str, **values: Any) -> Sequence[Problem]:
    with pytest.raises(SettingsError) as error:
        parse(configuration(stack, **values), stack)
    return error.value.problems


@pytest.mark.parametrize("secret", sorted({secret for named in SECRETS.values() for secret in named}))
def test_the_gateway_gets_no_secret_of_the_services_as_its_certificate(secret: str) -> None:
    (found,) = refused("dev", compute="aks", aks={"certificate": secret})
    assert (found.field, found.remedy) == ("aks.certificate", "pulumi config rm --path aks.certificate -s dev")


@pytest.mark.parametrize(
    ("system", "most"),
    # Of 59 addresses: 44 nodes and 15 of an upgrade; beside six of the system and two more 38 and 13.
    [(0, 44), (5, 38)],
)
def test_no_more_nodes_than_the_subnet_has_addresses_for(system: int, most: int) -> None:
    (found,) = refused("dev", compute="aks", aks={"systemNodes": system, "maxNodes": most + 1})
    assert (found.field, found.remedy) == ("aks.maxNodes", f"pulumi config set --path aks.maxNodes {most} -s dev")
    assert parse(configuration("dev", compute="aks", aks={"systemNodes": system, "maxNodes": most}), "dev")


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
