"""What is refused although it would be possible."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components.emulators.postgres import cluster
from components.mlflow.connections import Budget, budget
from components.mlflow.roles import Role
from delivery.reference import guardrails as guardrails_page
from infra import guardrails as resource_guardrails
from infra.guardrails.content import REQUIRED_TAGS
from infra.settings import guardrails
from infra.settings.guardrails.connections import LOCAL_CONNECTIONS
from infra.settings.model import SettingsError, parse
from mlflow_runtime.artifacts import blocks, memory
from tests.support.recorder import SUBSCRIPTION_ID
from tests.support.stacks import REPOSITORY, STACKS, configuration, graph

OPERATIONS = REPOSITORY / "docs" / "operations.md"


def refused(stack: str, **values: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(configuration(stack, **values), stack)
    return str(caught.value)


@pytest.mark.parametrize("stack", STACKS)
def test_a_public_gateway_without_access_control_is_refused(stack: str) -> None:
    assert (
        "ingress: 'public' is not allowed; allowed: internal as long as there is no access control (access.mode none)"
        in refused(stack, ingress="public")
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"gateway": {"minReplicas": 1}}, "gateway.minReplicas: 1 is not allowed; allowed: at least 2 in prod"),
        ({"tracking": {"minReplicas": 0}}, "tracking.minReplicas: 0 is not allowed; allowed: at least 2 in prod"),
        ({"database": {"highAvailability": "none"}}, "a Standard_D... or Standard_E... sku with a standby in prod"),
        (
            {"database": {"sku": "Standard_B2s", "highAvailability": "none"}, "limits": {"databasePool": 2}},
            "Standard_B2s with highAvailability none",
        ),
    ],
)
def test_prod_survives_the_loss_of_a_replica_or_a_server(values: dict[str, Any], expected: str) -> None:
    assert expected in refused("prod", **values)
    parse(configuration("staging", **values), "staging")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"cpu": 0.3}, "tracking.cpu: 0.3 is no size of Container Apps"),
        ({"memoryMib": 4096}, "tracking.memoryMib: 4096 does not go with 0.5 cores"),
        ({"spoolMib": 4096}, "tracking.spoolMib: 4096 is more than a replica with 0.5 cores has"),
    ],
)
def test_a_size_that_container_apps_lacks_is_refused_before_anything_is_made(
    values: dict[str, Any], expected: str
) -> None:
    assert expected in refused("dev", tracking=values)


def test_an_upload_of_more_blocks_than_a_blob_has_is_refused() -> None:
    assert "limits.maxArtifactMib: 199681 is not allowed; allowed: a whole number from 1 to 199680" in refused(
        "dev", limits={"maxArtifactMib": 199681}
    )
    assert 0 <= blocks.MOST * memory.UPLOAD_BLOCK // memory.MIB - 199680 < 1024


def test_a_replica_without_room_for_artifacts_is_refused() -> None:
    assert f"artifacts.memoryMib: {memory.LEAST_MIB - 1} is not allowed" in refused(
        "dev", artifacts={"memoryMib": memory.LEAST_MIB - 1}
    )
    parse(configuration("dev", artifacts={"cpu": 0.25, "memoryMib": memory.LEAST_MIB}), "dev")


def test_clients_from_the_internet_cannot_reach_the_account() -> None:
    said = refused("dev", ingress="public", storage={"clientsReachBlob": True})
    assert "storage.clientsReachBlob: 'true' is not allowed; allowed: false with a public gateway" in said
    parse(configuration("dev", storage={"clientsReachBlob": True}), "dev")


def test_networks_of_clients_have_different_names() -> None:
    given = [
        f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{name}"
        for group, name in (("one", "hub"), ("two", "Hub"))
    ]
    assert "networks with different names" in refused("dev", network={"clientNetworks": given})
    parse(configuration("dev", network={"clientNetworks": given[:1]}), "dev")
    assert "network.clientNetworks[0]" in refused("dev", network={"clientNetworks": ["vnet-hub"]})


def test_protection_without_purge_protection_is_refused() -> None:
    assert "purgeProtection: 'false' is not allowed; allowed: true with protect" in refused("dev", protect="true")
    parse(configuration("dev", protect="true", purgeProtection="true"), "dev")


def test_tokens_are_sent_to_no_address_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_ENDPOINT", "http://arm.example")
    with pytest.raises(pulumi.RunError, match="ARM_ENDPOINT"):
        graph("dev", nameGeneration="tls")


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_of_a_stack_carries_the_tags_and_a_name_of_the_stacks(stack: str) -> None:
    recorded = graph(stack)
    tagged = [name for name in recorded.names if "tags" in recorded.inputs(name)]
    assert len(tagged) > 40
    for name in tagged:
        given = recorded.inputs(name)["tags"]
        assert {*REQUIRED_TAGS} <= given.keys(), name
        assert given["environment"] == given["stack"] == stack


@pytest.mark.parametrize("stack", [*STACKS, "local"])
def test_a_stacks_own_file_has_room_for_all_its_connections(stack: str) -> None:
    parse(configuration(stack) if stack != "local" else {"profile": "local"}, stack)


def test_a_rolling_update_at_full_size_is_part_of_the_sum() -> None:
    """796 connections at work have room, 1,228 in the middle of a rolling update have none."""
    message = refused("prod", tracking={"maxReplicas": 30}, limits={"databasePool": 5})
    assert (
        "limits.databasePool: 5 is not allowed; allowed: at most 3, as the services may open (tracking 30 + registry 6 "
        "replicas) x (2 engines x (5 kept + 5 more at work) + 2 for /ready) + 36 successors in a rolling update x "
        "(2 engines x 5 kept + 2 for /ready) + 4 for prepare = 1228 connections, and Standard_D2ds_v5 takes 859 - 15 "
        "reserved = 844; run `pulumi config set --path limits.databasePool 3 -s prod`."
    ) in message


@pytest.mark.parametrize(
    ("stack", "at_most"), [("dev", 88), ("staging", 580), ("prod", 732)], ids=lambda value: str(value)
)
def test_a_profiles_sum_is_the_documented_one(stack: str, at_most: int) -> None:
    found = parse(configuration(stack), stack)
    assert found.azure is not None
    assert budget(found.sizes, found.limits.database_pool, rolling=True).total == at_most
    row = f"{stack}, {found.azure.database.sku}"
    assert f"| {at_most} |" in next(line for line in OPERATIONS.read_text().splitlines() if row in line)


def test_more_connections_than_the_server_takes_are_refused_with_the_remedy() -> None:
    small = {"sku": "Standard_B1ms"}
    message = refused("dev", limits={"databasePool": 3}, database=small, tracking={"maxReplicas": 1})
    assert "= 48 connections, and Standard_B1ms takes 50 - 15 reserved = 35" in message
    parse(configuration("dev", limits={"databasePool": 3}, database={"sku": "Standard_B2s"}), "dev")


def test_more_replicas_than_any_pool_has_room_for_are_refused() -> None:
    message = refused("dev", database={"sku": "Standard_B1ms"})
    assert "limits.databasePool: 4 is not allowed; allowed: none with so many replicas" in message
    assert "choose a larger database.sku, or lower maxReplicas of tracking or registry: `pulumi" in message


@pytest.mark.parametrize("rolling", [True, False])
@pytest.mark.parametrize("replicas", [1, 3, 26])
def test_the_largest_pool_fits_and_one_more_does_not(replicas: int, rolling: bool) -> None:
    for available in range(40, 1000, 7):
        asked = Budget(replicas={Role.TRACKING: replicas}, pool=2, rolling=rolling)
        largest = asked.largest_pool(available)
        fits = [pool for pool in range(2, 201) if replace(asked, pool=pool).total <= available]
        assert largest == (fits[-1] if fits else None)


def test_the_largest_pool_that_is_named_is_taken() -> None:
    message = refused("prod", limits={"databasePool": 200})
    largest = int(message.split("at most ")[1].split(",")[0])
    parse(configuration("prod", limits={"databasePool": largest}), "prod")
    assert "connections" in refused("prod", limits={"databasePool": largest + 1})


def test_the_local_server_has_a_limit_too() -> None:
    """Its replicas are replaced in place, each on its own port: no successor runs beside one."""
    assert int(cluster._SETTINGS["max_connections"]) == LOCAL_CONNECTIONS
    with pytest.raises(SettingsError, match=r"the local PostgreSQL takes 400 - 3 reserved = 397"):
        parse({"profile": "local", "tracking": {"minReplicas": 5}}, "local")
    parse({"profile": "local", "tracking": {"minReplicas": 3}}, "local")
    parse({"profile": "local", "tracking": {"minReplicas": 30}, "limits": {"databasePool": 2}}, "local")


def test_every_rule_says_what_it_refuses_why_and_what_to_do() -> None:
    for rule in guardrails.RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
        assert rule.link == f"docs/guardrails.md#{rule.id}"
        assert all((rule.refuses, rule.reason, rule.remedy, rule.source)), rule.id


def test_the_committed_page_of_the_rules_is_up_to_date_and_has_a_heading_for_each() -> None:
    text = guardrails_page.DOCUMENT.read_text()
    assert text == guardrails_page.render()
    ids = [rule.id for rule in (*guardrails.RULES, *resource_guardrails.RULES)]
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == ids
    assert len({*ids}) == len(ids)
