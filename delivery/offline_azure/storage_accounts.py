"""One operation at a time: what Azure answers to a second one on the same storage account.

Source: Azure/bicep-registry-modules issue 6001 (StorageAccountOperationInProgress, while an account's blob service,
lifecycle, lock and private endpoint are made at the same time).
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import LOCK, PRIVATE_ENDPOINT
from delivery.offline_azure.errors import RefusedError

OPERATION_SECONDS: Final = 0.1
"""How long an operation has its account for itself. On Azure it is seconds; here long enough to meet another one."""

_ACCOUNT: Final = re.compile(r"(/.+/providers/Microsoft\.Storage/storageAccounts/[^/]+)(/.*)?\Z", re.IGNORECASE)


def account(type_token: str, identifier: str, inputs: Mapping[str, Any]) -> str | None:
    """Return the account that an operation on a resource needs for itself, in lower case; None if it needs none.

    That is the account itself, what is in it, a lock on it, and a private endpoint that leads to it. Other extensions,
    such as role assignments and diagnostic settings, were not seen to.
    """
    if type_token == PRIVATE_ENDPOINT:
        for connection in inputs.get("privateLinkServiceConnections") or []:
            if found := _ACCOUNT.match(str(connection.get("privateLinkServiceId"))):
                return found[1].lower()
        return None
    found = _ACCOUNT.match(identifier)
    if found is None or ("/providers/" in (found[2] or "") and type_token != LOCK):
        return None
    return found[1].lower()


class Exclusive:
    """Which accounts have an operation under way."""

    def __init__(self) -> None:
        self._lock, self._busy = threading.Lock(), set[str]()

    @contextlib.contextmanager
    def operation(self, account: str | None) -> Iterator[None]:
        """Have the account for as long as the block and OPERATION_SECONDS. Raises RefusedError if another one has."""
        if account is None:
            yield
            return
        with self._lock:
            if account in self._busy:
                message = "An operation is currently performing on this storage account that requires exclusive access."
                raise RefusedError(409, "StorageAccountOperationInProgress", message)
            self._busy.add(account)
        try:
            yield
            time.sleep(OPERATION_SECONDS)
        finally:
            with self._lock:
                self._busy.discard(account)
