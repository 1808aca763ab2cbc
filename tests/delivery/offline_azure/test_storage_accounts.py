"""The offline Azure does one operation on a storage account at a time."""

from __future__ import annotations

import pytest

from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.storage_accounts import Exclusive, account

GROUP = "/subscriptions/s/resourceGroups/rg/providers"
ACCOUNT = f"{GROUP}/Microsoft.Storage/storageAccounts/stOne"


@pytest.mark.parametrize(
    ("kind", "identifier", "inputs", "taken"),
    [
        ("storage:StorageAccount", ACCOUNT, {}, True),
        ("storage:BlobContainer", f"{ACCOUNT}/blobServices/default/containers/c", {}, True),
        ("storage:ManagementPolicy", f"{ACCOUNT}/managementPolicies/default", {}, True),
        ("authorization:ManagementLockByScope", f"{ACCOUNT}/providers/Microsoft.Authorization/locks/l", {}, True),
        ("authorization:RoleAssignment", f"{ACCOUNT}/providers/Microsoft.Authorization/roleAssignments/r", {}, False),
        ("keyvault:Vault", f"{GROUP}/Microsoft.KeyVault/vaults/kv", {}, False),
        *[
            (
                "network:PrivateEndpoint",
                f"{GROUP}/Microsoft.Network/privateEndpoints/pe",
                {"privateLinkServiceConnections": [{"privateLinkServiceId": target}]},
                taken,
            )
            for target, taken in ((ACCOUNT, True), (f"{GROUP}/Microsoft.KeyVault/vaults/kv", False))
        ],
    ],
)
def test_what_needs_an_account_for_itself(kind: str, identifier: str, inputs: dict[str, object], taken: bool) -> None:
    assert account(f"azure-native:{kind}", identifier, inputs) == (ACCOUNT.lower() if taken else None)


def test_a_second_operation_is_refused_until_the_first_has_ended() -> None:
    accounts = Exclusive()
    with accounts.operation("one"), accounts.operation("two"), accounts.operation(None), accounts.operation(None):
        busy = pytest.raises(RefusedError, match='Status=409 Code="StorageAccountOperationInProgress"')
        with busy, accounts.operation("one"):
            pass
    with accounts.operation("one"):
        pass


def test_an_operation_that_failed_has_ended() -> None:
    accounts = Exclusive()
    with pytest.raises(ZeroDivisionError), accounts.operation("one"):
        raise ZeroDivisionError
    with accounts.operation("one"):
        pass
