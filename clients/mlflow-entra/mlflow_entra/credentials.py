"""Which identity a machine has."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from azure.identity import AzurePipelinesCredential, ClientAssertionCredential, DefaultAzureCredential

_GITHUB = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AZURE_CLIENT_ID", "AZURE_TENANT_ID")
_AZURE_PIPELINES = (
    *("SYSTEM_OIDCREQUESTURI", "SYSTEM_ACCESSTOKEN", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"),
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
)
_AUDIENCE = "api://AzureADTokenExchange"
_SECONDS = 30


def choose(env: Mapping[str, str]) -> Any:
    """Return the credential of this machine: a workflow's federation, else what Azure's own choice finds."""
    if all(env.get(name) for name in _GITHUB):
        return ClientAssertionCredential(env["AZURE_TENANT_ID"], env["AZURE_CLIENT_ID"], lambda: _github(env))
    if all(env.get(name) for name in _AZURE_PIPELINES):
        return AzurePipelinesCredential(
            tenant_id=env["AZURE_TENANT_ID"],
            client_id=env["AZURE_CLIENT_ID"],
            service_connection_id=env["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"],
            system_access_token=env["SYSTEM_ACCESSTOKEN"],
        )
    return DefaultAzureCredential()


def _github(env: Mapping[str, str]) -> str:
    """Return the token by which a workflow of GitHub says what it is."""
    url = f"{env['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={quote(_AUDIENCE, safe='')}"
    headers = {"Authorization": f"bearer {env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the runner's own address
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        return str(json.load(answer)["value"])
