"""Which identity a machine has."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import AzureError
from azure.identity import AzurePipelinesCredential, ClientAssertionCredential, DefaultAzureCredential

from mlflow_entra import logins

_GITHUB = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
_AZURE_PIPELINES = (
    *("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"),
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
)
_AUDIENCE = "api://AzureADTokenExchange"
_SECONDS = 30
# Before its end a token is renewed: longer than a request waits, shorter than any token lives.
_RENEW_SECONDS = 300


class Tokens:
    """The present token of a credential. Threads may share it.

    Not every credential remembers: that of `az login` starts a process for each token.
    """

    def __init__(self, credential: Any, scope: str, *, clock: Callable[[], float] = time.time) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Any = None

    def current(self) -> str:
        """Return a token that is not about to end. Raises what the credential raises, once none is left that counts."""
        with self._lock:
            if self._left() < _RENEW_SECONDS:
                try:
                    self._token = self._credential.get_token(self._scope)
                except (AzureError, OSError):
                    # Entra may be away for a minute.
                    if self._left() <= 0:
                        raise
            return str(self._token.token)

    def _left(self) -> float:
        return 0 if self._token is None else self._token.expires_on - self._clock()


def choose(env: Mapping[str, str]) -> Any:
    """Return the credential of this machine: a workflow's federation, who signed in by `mlflow-entra login`, else what
    Azure's own choice finds. Raises SettingsError.
    """
    if all(env.get(name) for name in _GITHUB):
        return ClientAssertionCredential(env["AZURE_TENANT_ID"], env["AZURE_CLIENT_ID"], lambda: _github(env))
    if all(env.get(name) for name in _AZURE_PIPELINES):
        return AzurePipelinesCredential(
            tenant_id=env["AZURE_TENANT_ID"],
            client_id=env["AZURE_CLIENT_ID"],
            service_connection_id=env["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"],
            system_access_token=env["SYSTEM_ACCESSTOKEN"],
        )
    return logins.remembered(env) or DefaultAzureCredential()


def _github(env: Mapping[str, str]) -> str:
    """Return the token by which a workflow of GitHub says what it is."""
    url = f"{env['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={quote(_AUDIENCE, safe='')}"
    headers = {"Authorization": f"bearer {env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the runner's own address
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        return str(json.load(answer)["value"])
