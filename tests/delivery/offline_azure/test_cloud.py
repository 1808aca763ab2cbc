"""What the offline Azure refuses, asked without an engine."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.offline_azure import faults, immutable
from delivery.offline_azure.addresses import UnknownTypeError
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import HalfDoneError, RefusedError
from delivery.pulumi.installation import REPOSITORY

GROUP = "azure-native:resources:ResourceGroup"
VAULT = "azure-native:keyvault:Vault"
NETWORK = "azure-native:network:VirtualNetwork"
SUBNET = "azure-native:network:Subnet"
ENDPOINT = "azure-native:network:PrivateEndpoint"
LOCK = "azure-native:authorization:ManagementLockByScope"
PLACED = {"resourceGroupName": "rg", "location": "westeurope"}


def vault(**properties: Any) -> dict[str, Any]:
    always = {"tenantId": "11111111-1111-1111-1111-111111111111", "sku": {"family": "A", "name": "standard"}}
    return {**PLACED, "vaultName": "kv-one", "properties": {**always, **properties}}


def refused(code: str) -> Any:
    return pytest.raises(RefusedError, match=f'Code="{code}"')


def test_what_is_there_outlives_the_process_and_every_call_is_written_down(azure: Azure, tmp_path: Path) -> None:
    created = azure.create(VAULT, vault())
    assert Azure(tmp_path / "azure.json").read(VAULT, created["id"]) == created
    assert [call["operation"] for call in azure.calls()] == ["create", "create", "read"]


def test_a_parent_must_be_there(azure: Azure) -> None:
    with refused("ResourceGroupNotFound"):
        azure.create(VAULT, {**vault(), "resourceGroupName": "other"})
    with refused("ParentResourceNotFound"):
        azure.create(
            SUBNET,
            {"resourceGroupName": "rg", "virtualNetworkName": "v", "subnetName": "s", "addressPrefix": "10.0.0.0/24"},
        )


def test_a_body_with_an_unknown_property_is_refused_and_nothing_is_made(azure: Azure) -> None:
    with refused("InvalidRequestContent") as error:
        azure.create(VAULT, vault(enableEverything=True))
    assert "properties.enableEverything" in str(error.value)
    assert len(azure.resources) == 1
    assert "InvalidRequestContent" in azure.calls()[-1]["refused"]


def test_a_body_without_a_required_property_is_refused(azure: Azure) -> None:
    inputs = vault()
    del inputs["properties"]["sku"]["family"]
    with refused("InvalidRequestContent") as error:
        azure.create(VAULT, inputs)
    assert "properties.sku.family: is required" in str(error.value)


def test_a_check_makes_an_azure_stricter(tmp_path: Path) -> None:
    def owned(type_token: str, inputs: Mapping[str, Any]) -> list[str]:
        return [] if "tags" in inputs else [f"{type_token}: has no owner"]

    azure = Azure(tmp_path / "azure.json", checks=[owned])
    with refused("InvalidRequestContent") as error:
        azure.create(GROUP, PLACED)
    assert f"{GROUP}: has no owner" in str(error.value)
    tagged = {**PLACED, "tags": {"owner": "team"}}
    made = azure.create(GROUP, tagged)
    with refused("InvalidRequestContent"):
        azure.update(GROUP, made["id"], PLACED)
    with pytest.raises(RefusedError, match="locatoin: is unknown"):
        azure.update(GROUP, made["id"], {**tagged, "locatoin": "x"})


def test_a_type_without_a_path_is_refused_with_the_place_for_it(azure: Azure) -> None:
    with pytest.raises(UnknownTypeError, match=r"got azure-native:cache:Redis; .*delivery/azure_types/paths.py"):
        azure.create("azure-native:cache:Redis", {**PLACED, "name": "redis"})


def test_a_deleted_vault_keeps_its_name_until_it_is_purged_or_recovered(azure: Azure) -> None:
    made = azure.create(VAULT, vault())
    azure.delete(VAULT, made["id"])
    with refused("ConflictError"):
        azure.create(VAULT, vault())
    azure.purge("kv-one")
    azure.delete(VAULT, azure.create(VAULT, vault())["id"])
    azure.create(VAULT, vault(createMode="recover"))


def test_purge_protection_holds_the_name_and_cannot_be_undone(azure: Azure) -> None:
    made = azure.create(VAULT, vault(enablePurgeProtection=True))
    with refused("PropertyChangeNotAllowed"):
        azure.update(VAULT, made["id"], vault(enablePurgeProtection=False))
    azure.delete(VAULT, made["id"])
    with refused("MethodNotAllowed"):
        azure.purge("kv-one")


def test_a_globally_unique_name_is_taken_once(azure: Azure) -> None:
    azure.create(GROUP, {**PLACED, "resourceGroupName": "other"})
    azure.create(VAULT, vault())
    with refused("VaultAlreadyExists"):
        azure.create(VAULT, {**vault(), "resourceGroupName": "other"})
    azure.take_name(VAULT, "kv-two")
    with refused("VaultAlreadyExists"):
        azure.create(VAULT, {**vault(), "vaultName": "kv-two"})


def test_a_lock_holds_the_resource_and_what_is_above_it(azure: Azure) -> None:
    made = azure.create(VAULT, vault())
    lock = azure.create(LOCK, {"scope": made["id"], "lockName": "keep", "level": "CanNotDelete"})
    for token, identifier in [(VAULT, made["id"]), (GROUP, "/".join(made["id"].split("/")[:5]))]:
        with refused("ScopeLocked"):
            azure.delete(token, identifier)
    azure.delete(LOCK, lock["id"])
    azure.delete(VAULT, made["id"])


def test_what_is_in_use_is_not_deleted(azure: Azure) -> None:
    network = azure.create(
        NETWORK, {**PLACED, "virtualNetworkName": "v", "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
    )
    inputs = {"resourceGroupName": "rg", "virtualNetworkName": "v", "subnetName": "s", "addressPrefix": "10.0.0.0/24"}
    subnet = azure.create(SUBNET, inputs)
    endpoint = azure.create(ENDPOINT, {**PLACED, "privateEndpointName": "p", "subnet": {"id": subnet["id"]}})
    for token, identifier in [(NETWORK, network["id"]), (SUBNET, subnet["id"])]:
        with refused("InUse"):
            azure.delete(token, identifier)
    for token, gone in [(ENDPOINT, endpoint), (SUBNET, subnet), (NETWORK, network)]:
        azure.delete(token, gone["id"])
    assert len(azure.resources) == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttled", "TooManyRequests"),
        ("conflict", "AnotherOperationInProgress"),
        ("forbidden", "AuthorizationFailed"),
        ("quota", "QuotaExceeded"),
    ],
)
def test_an_injected_fault_is_met_as_often_as_asked(azure: Azure, kind: str, code: str) -> None:
    azure.inject(kind, operation="create", matching="/vaults/", times=2)
    for _ in range(2):
        with refused(code):
            azure.create(VAULT, vault())
    azure.create(VAULT, vault())


def test_a_half_done_creation_leaves_the_resource(azure: Azure) -> None:
    azure.inject("half", operation="create", matching="/vaults/")
    with pytest.raises(HalfDoneError):
        azure.create(VAULT, vault())
    with refused("ResourceAlreadyExists"):
        azure.create(VAULT, vault())


def test_every_third_call_is_hit_until_faults_are_cleared(azure: Azure) -> None:
    azure.inject("quota", operation="read", matching="", every=3)
    hit = []
    for number in range(1, 10):
        try:
            azure.read(GROUP, "any")
        except RefusedError:
            hit.append(number)
    assert hit == [3, 6, 9]
    azure.clear_faults()
    for _ in range(3):
        azure.read(GROUP, "any")


def test_a_call_that_is_repeated_at_once_gets_through(azure: Azure) -> None:
    azure.inject("throttled", operation="read", matching="", every=2)

    def hits(identifier: str) -> bool:
        try:
            azure.read(GROUP, identifier)
        except RefusedError:
            return True
        return False

    order = ["b", "a", "c", "a", "d", "a"]
    assert [hits(identifier) for identifier in order] == [False, True, False, False, True, True]


def test_a_slow_creation_is_done_before_it_is_answered_and_holds_up_nobody(azure: Azure) -> None:
    azure.inject("slow", operation="create", matching="/vaults/", seconds=600)
    answered = threading.Event()

    def create() -> None:
        azure.create(VAULT, vault())
        answered.set()

    waiting = threading.Thread(target=create, daemon=True)
    waiting.start()
    while not any("/vaults/" in key for key in list(azure.resources)):
        assert waiting.is_alive()
    azure.create(GROUP, {**PLACED, "resourceGroupName": "other"})
    assert not answered.is_set()
    azure.clear_faults()
    assert answered.wait(60)


def test_what_azure_chose_is_in_the_inputs_and_stays(azure: Azure) -> None:
    server = "azure-native:dbforpostgresql:Server"
    inputs = {**PLACED, "serverName": "psql-one", "highAvailability": {"mode": "ZoneRedundant"}}
    made = azure.create(server, inputs)
    assert made["inputs"]["availabilityZone"] == "1"
    assert made["inputs"]["highAvailability"] == {"mode": "ZoneRedundant", "standbyAvailabilityZone": "2"}
    azure.change(made["id"], availabilityZone="2", highAvailability={"standbyAvailabilityZone": "1"})
    updated = azure.update(server, made["id"], {**inputs, "tags": {"owner": "team"}})
    assert updated["inputs"]["availabilityZone"] == "2"
    assert updated["inputs"]["highAvailability"] == {"mode": "ZoneRedundant", "standbyAvailabilityZone": "1"}
    placed = azure.create(server, {**inputs, "serverName": "psql-two", "availabilityZone": "3"})
    assert placed["inputs"]["availabilityZone"] == "3"


def test_an_unknown_fault_is_refused(azure: Azure) -> None:
    with pytest.raises(ValueError, match="throttled"):
        azure.inject("earthquake", operation="create", matching="")
    with pytest.raises(ValueError, match="at least 1"):
        azure.inject("quota", operation="create", matching="", every=0)


@pytest.mark.parametrize(
    ("token", "path", "replaced"),
    [
        ("storage:StorageAccount", "isHnsEnabled", True),
        ("storage:StorageAccount", "tags.owner", False),
        ("storage:StorageAccount", "accountName", True),
        ("dbforpostgresql:Server", "network.delegatedSubnetResourceId", True),
        ("dbforpostgresql:Server", "storage.storageSizeGB", False),
        ("app:ManagedEnvironment", "zoneRedundant", True),
        ("network:PublicIPAddress", "sku.name", True),
        ("privatedns:VirtualNetworkLink", "virtualNetwork.id", True),
        ("privatedns:VirtualNetworkLink", "registrationEnabled", False),
    ],
)
def test_what_replaces_a_resource(token: str, path: str, replaced: bool) -> None:
    assert immutable.replaces(path, immutable.replacing(f"azure-native:{token}")) is replaced


@pytest.mark.parametrize("kind", sorted(faults.ANSWERS))
def test_the_runbook_says_what_to_do_about_each_fault(azure: Azure, kind: str) -> None:
    azure.inject(kind, operation="create", matching="/vaults/")
    _, code, _ = faults.ANSWERS[kind]
    with refused(code):
        azure.create(VAULT, vault())
    rows = [line for line in (REPOSITORY / "docs/runbooks/azure.md").read_text().splitlines() if line.startswith("|")]
    assert [row for row in rows if code in row]
