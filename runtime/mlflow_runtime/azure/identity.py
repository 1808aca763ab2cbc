"""The managed identity of this process: one credential, shared by the database, the blobs and the Key Vault.

It is reached through a function, because MLflow makes the engines and repositories that use it, and passes them only a
URL. AZURE_CLIENT_ID says which identity; the platform's own variables say where its tokens come from.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from mlflow_runtime.azure import refusals
from mlflow_runtime.metrics import azure as metrics
from mlflow_runtime.reasons import first_line

# The endpoint is on this machine or one hop away, so what does not answer soon is down. The client's defaults retry for
# minutes, in which a request would hang.
_LIMITS: Final[dict[str, Any]] = {
    "connection_timeout": 3,
    "read_timeout": 10,
    "retry_total": 3,
    "retry_backoff_factor": 0.3,
}


class Identity:
    """A credential for Azure's clients, which keeps its tokens until they are nearly over. Threads may share it.

    Whatever goes wrong is an AzureError; a token that cannot be had is mostly its ClientAuthenticationError.
    """

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self._renewing = threading.Lock()
        self._last: dict[tuple[str, ...], str] = {}
        self._credential = self._made()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token, kept or new."""
        with self._counted(scopes), _as_azure_error():
            token: AccessToken = self._credential.get_token(*scopes, **options)
            self._note(scopes, token.token)
            return token

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token, kept or new, in the form that newer clients ask for."""
        with self._counted(scopes), _as_azure_error():
            token: AccessTokenInfo = self._credential.get_token_info(*scopes, options=options)
            self._note(scopes, token.token)
            return token

    def renewed_token(self, scope: str, refused: str) -> str:
        """A token from the endpoint itself, after a server refused the kept one.

        Threads that were refused together share one renewal.
        """
        with self._renewing:
            current = str(self.get_token(scope).token)
            if current != refused:
                return current
            self._credential = self._made()  # a credential's cache cannot be emptied
            return str(self.get_token(scope).token)

    def _note(self, scopes: tuple[str, ...], token: str) -> None:
        """Count a token that is not the one that was had before. Of the credential's own cache nothing is seen."""
        if self._last.get(scopes) != token:
            self._last[scopes] = token
            metrics.token(" ".join(scopes))

    @contextmanager
    def _counted(self, scopes: tuple[str, ...]) -> Iterator[None]:
        try:
            yield
        except AzureError as error:
            metrics.token(" ".join(scopes), refused=True)
            refusals.log(
                f"the managed identity {self.client_id} gets no token for {' '.join(scopes)}", first_line(error)
            )
            raise

    def _made(self) -> ManagedIdentityCredential:
        return ManagedIdentityCredential(client_id=self.client_id, **_LIMITS)


@functools.cache
def current() -> Identity:
    """The identity of this process. Raises KeyError where AZURE_CLIENT_ID is not set."""
    return Identity(os.environ["AZURE_CLIENT_ID"])


@contextmanager
def _as_azure_error() -> Iterator[None]:
    """An endpoint that does not know the process answers 403 with no body, which azure-identity 1.27 fails to read."""
    try:
        yield
    except ValueError as error:
        raise ClientAuthenticationError(
            "The managed identity endpoint does not give this process a token; check that the identity is assigned."
        ) from error
