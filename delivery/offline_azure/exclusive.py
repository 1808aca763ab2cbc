"""One operation at a time: what Azure answers to a second one on the same account, identity or server.

Sources: Azure/bicep-registry-modules issue 6001 (StorageAccountOperationInProgress, while an account's blob service,
lifecycle, lock and private endpoint are made at the same time); Microsoft Learn, "Important considerations and
restrictions for federated identity credentials" (credentials of one identity at the same time are 409); Microsoft
Learn, "Troubleshoot common errors" of Azure Database for PostgreSQL (ServerIsBusy, while parameters and administrators
of one server are set at the same time).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from delivery.azure_types.type_tokens import LOCK, PRIVATE_ENDPOINT
from delivery.offline_azure.errors import RefusedError

OPERATION_SECONDS: Final = 0.1
"""How long an operation has its resource for itself. On Azure it is seconds; here long enough to meet another one."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A resource that takes one operation at a time, by its ID in lower case, and Azure's answer to a second one."""

    key: str
    code: str
    message: str


_ACCOUNT: Final = re.compile(r"(/.+/providers/Microsoft\.Storage/storageAccounts/[^/]+)(/.*)?\Z", re.IGNORECASE)
_IDENTITY: Final = re.compile(r"(/.+/userAssignedIdentities/[^/]+)/federatedIdentityCredentials/[^/]+\Z", re.IGNORECASE)
_SERVER: Final = re.compile(r"(/.+/flexibleServers/[^/]+)(/(configurations|administrators)/[^/]+)?\Z", re.IGNORECASE)


def held(type_token: str, identifier: str, inputs: Mapping[str, Any]) -> Held | None:
    """Return what an operation on a resource needs for itself; None if it needs nothing.

    Of a storage account that is the account itself, what is in it, a lock on it, and a private endpoint that leads to
    it. Other extensions, such as role assignments and diagnostic settings, were not seen to. Of a database server it is
    the server, a parameter and an administrator; databases were not seen to.
    """
    if type_token == PRIVATE_ENDPOINT:
        targets = [str(one.get("privateLinkServiceId")) for one in inputs.get("privateLinkServiceConnections") or []]
        found = next((found for target in targets if (found := _ACCOUNT.match(target))), None)
        return _account(found[1]) if found else None
    if found := _ACCOUNT.match(identifier):
        extension = "/providers/" in (found[2] or "") and type_token != LOCK
        return None if extension else _account(found[1])
    if found := _IDENTITY.match(identifier):
        return Held(
            key=found[1].lower(),
            code="ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
            message="Too many concurrent writes of federated identity credentials for this managed identity.",
        )
    if found := _SERVER.match(identifier):
        return Held(
            key=found[1].lower(),
            code="ServerIsBusy",
            message="Cannot complete operation while the server is busy processing another operation. Try again later.",
        )
    return None


def _account(identifier: str) -> Held:
    return Held(
        key=identifier.lower(),
        code="StorageAccountOperationInProgress",
        message="An operation is currently performing on this storage account that requires exclusive access.",
    )


class Exclusive:
    """Which resources have an operation under way. `seconds` is how long one goes on, 0 where none meets another."""

    def __init__(self, seconds: float = OPERATION_SECONDS) -> None:
        self._seconds, self._lock, self._busy = seconds, threading.Lock(), set[str]()

    @contextlib.contextmanager
    def operation(self, on: Held | None) -> Iterator[None]:
        """Hold a resource for as long as the block and the seconds. Raises RefusedError if another one does."""
        if on is None:
            yield
            return
        with self._lock:
            if on.key in self._busy:
                raise RefusedError(409, on.code, on.message)
            self._busy.add(on.key)
        try:
            yield
            time.sleep(self._seconds)
        finally:
            with self._lock:
                self._busy.discard(on.key)
