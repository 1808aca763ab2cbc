"""The offline Azure does one operation on an account, an identity's credentials or a server at a time."""

from __future__ import annotations

import pytest

from delivery.offline_azure.errors import RefusedError
from delivery.offline_azure.exclusive import Exclusive, Held, held

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
    found = held(f"azure-native:{kind}", identifier, inputs)
    assert (found.key if found else None) == (ACCOUNT.lower() if taken else None)


IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/id"
SERVER = f"{GROUP}/Microsoft.DBforPostgreSQL/flexibleServers/psql"


@pytest.mark.parametrize(
    ("identifier", "key", "code"),
    [
        (f"{IDENTITY}/federatedIdentityCredentials/one", IDENTITY, "ConcurrentFederatedIdentityCredentialsWrites"),
        (IDENTITY, None, ""),
        (SERVER, SERVER, "ServerIsBusy"),
        (f"{SERVER}/configurations/log_lock_waits", SERVER, "ServerIsBusy"),
        (f"{SERVER}/administrators/{'1' * 36}", SERVER, "ServerIsBusy"),
        (f"{SERVER}/databases/tracking", None, ""),
        (f"{SERVER}/providers/Microsoft.Insights/diagnosticSettings/logs", None, ""),
    ],
)
def test_what_needs_an_identity_or_a_server_for_itself(identifier: str, key: str | None, code: str) -> None:
    found = held("azure-native:any:Type", identifier, {})
    assert (found.key if found else None) == (key.lower() if key else None)
    if found:
        exclusive = Exclusive()
        with exclusive.operation(found), pytest.raises(RefusedError, match=code), exclusive.operation(found):
            pass


def one(key: str) -> Held:
    return Held(key=key, code="StorageAccountOperationInProgress", message="busy")


def test_a_second_operation_is_refused_until_the_first_has_ended() -> None:
    accounts = Exclusive()
    first, second = one("one"), one("two")
    with accounts.operation(first), accounts.operation(second), accounts.operation(None), accounts.operation(None):
        busy = pytest.raises(RefusedError, match='Status=409 Code="StorageAccountOperationInProgress"')
        with busy, accounts.operation(first):
            pass
    with accounts.operation(first):
        pass


def test_an_operation_that_failed_has_ended() -> None:
    accounts = Exclusive()
    with pytest.raises(ZeroDivisionError), accounts.operation(one("one")):
        raise ZeroDivisionError
    with accounts.operation(one("one")):
        pass
