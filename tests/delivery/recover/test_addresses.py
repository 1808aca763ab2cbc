"""The ID of everything that the product makes is known from its inputs."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.azure_types.type_tokens import versionless
from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.recover.addresses import AddressError, address
from tests.support.arm import needs_schemas
from tests.support.arm_schemas import addresses
from tests.support.stacks import STACKS, graph

GROUP = {"resourceGroupName": "rg-one"}


@needs_schemas
@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_of_every_stack_has_the_id_that_azure_gives_it(stack: str) -> None:
    recorded = graph(stack)
    names = [name for name in recorded.names if recorded.type(name).startswith("azure-native:")]
    assert len(names) > 50
    for name in names:
        token, inputs = recorded.type(name), recorded.inputs(name)
        expected = addresses.address(versionless(token), inputs)
        assert address(token, inputs, SUBSCRIPTION) == expected, name


@pytest.mark.parametrize(
    ("token", "inputs", "expected"),
    [
        ("resources:ResourceGroup", {}, "/subscriptions/one/resourceGroups/rg-one"),
        (
            "keyvault/v20241101:Vault",
            {"vaultName": "kv-one", "tags": {"owner": "x"}},
            "/subscriptions/one/resourceGroups/rg-one/providers/Microsoft.KeyVault/vaults/kv-one",
        ),
        (
            "privatedns:PrivateRecordSet",
            {"privateZoneName": "a.b", "recordType": "A", "relativeRecordSetName": "*"},
            "/subscriptions/one/resourceGroups/rg-one/providers/Microsoft.Network/privateDnsZones/a.b/A/*",
        ),
        (
            "authorization:ManagementLockByScope",
            {"scope": "subscriptions/two/resourceGroups/rg-two/", "lockName": "keep"},
            "/subscriptions/two/resourceGroups/rg-two/providers/Microsoft.Authorization/locks/keep",
        ),
    ],
)
def test_an_id(token: str, inputs: dict[str, Any], expected: str) -> None:
    assert address(f"azure-native:{token}", GROUP | inputs, "one") == expected


def test_what_has_a_scope_of_its_own_needs_no_subscription() -> None:
    inputs = {"resourceUri": "/subscriptions/two/resourceGroups/rg-two", "name": "logs"}
    assert address("azure-native:monitor:DiagnosticSetting", inputs, None).startswith("/subscriptions/two/")


@pytest.mark.parametrize(
    ("token", "inputs", "subscription", "message"),
    [
        (
            "azure-native:cache:Redis",
            {},
            "one",
            "no rule tells the ID of type azure-native:cache:Redis; if it was made",
        ),
        ("random:index/randomId:RandomId", {}, "one", "no rule tells the ID of type random"),
        ("azure-native:keyvault:Vault", {}, "one", "names no vaultName"),
        ("azure-native:keyvault:Vault", {"vaultName": "kv-one"}, None, "export ARM_SUBSCRIPTION_ID="),
    ],
)
def test_an_unknown_id_is_refused(token: str, inputs: dict[str, Any], subscription: str | None, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        address(token, GROUP | inputs, subscription)
