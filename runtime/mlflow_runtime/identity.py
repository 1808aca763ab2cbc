"""The managed identity of this process: one credential, shared by the database, the blobs and the Key Vault.

It is reached through functions, because MLflow makes the engines and repositories that use it, and passes them only a
URL. AZURE_CLIENT_ID says which identity; the platform's own variables say where its tokens come from.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from azure.identity import ManagedIdentityCredential

# The endpoint is on this machine or one hop away, so what does not answer soon is down. The clients' defaults retry for
# minutes, in which a request would hang.
_LIMITS: dict[str, Any] = {
    "connection_timeout": 3,
    "read_timeout": 10,
    "retry_total": 3,
    "retry_backoff_factor": 0.3,
}

_making = threading.Lock()
_renewing = threading.Lock()
_credential: ManagedIdentityCredential | None = None


def client_id() -> str:
    """The client id of this process's identity. Raises KeyError where AZURE_CLIENT_ID is not set."""
    return os.environ["AZURE_CLIENT_ID"]


def credential() -> ManagedIdentityCredential:
    """The credential, which keeps its tokens until they are nearly over. Threads may share it."""
    global _credential
    with _making:
        if _credential is None:
            _credential = ManagedIdentityCredential(client_id=client_id(), **_LIMITS)
        return _credential


def token(scope: str) -> str:
    """A token for `scope`, kept or new. Raises azure.core's ClientAuthenticationError where none can be had."""
    return str(credential().get_token(scope).token)


def renewed_token(scope: str, refused: str) -> str:
    """A token for `scope` from the endpoint itself, after a server refused the kept one.

    Threads that were refused together share one renewal.
    """
    global _credential
    with _renewing:
        current = token(scope)
        if current != refused:
            return current
        with _making:
            _credential = None  # its cache cannot be emptied
        return token(scope)
