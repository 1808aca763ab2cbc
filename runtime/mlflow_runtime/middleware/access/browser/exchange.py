"""Redeems the code of a sign-in at Entra, with this service's identity in place of a client secret.

Sources: Microsoft Learn, "Configure an application to trust a managed identity", "Microsoft Entra authentication and
authorization error codes" (AADSTS700222).
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import certifi
from azure.core.exceptions import AzureError

from mlflow_runtime import environment
from mlflow_runtime.azure import identity
from mlflow_runtime.middleware.access.browser import flow as flows
from mlflow_runtime.middleware.access.browser.flow import Flow
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.reasons import first_line

_EXCHANGE: Final = "api://AzureADTokenExchange/.default"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_POD_TOKEN: Final = environment.variable("AZURE_FEDERATED_TOKEN_FILE")
_TIMEOUT_SECONDS: Final = 10
_LARGEST: Final = 1 << 20


class AwayError(Exception):
    """Entra or the managed identity does not answer, or does not know this platform. The message says why."""


class CodeRefusedError(Exception):
    """The code is used, too old or another browser's. The message is Entra's."""


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What a code was redeemed for."""

    access_token: str
    id_token: str


Redeem = Callable[[str, Flow, str], Granted]
"""From a code, its sign-in and its redirect address. Blocks."""


def with_entra(access: Access) -> Redeem:
    """Return what redeems codes of the application of `access`."""

    def redeem(code: str, flow: Flow, redirect: str) -> Granted:
        form = {
            "client_id": access.client_id,
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": flow.verifier,
            "redirect_uri": redirect,
            "scope": flows.scope(access),
            "client_assertion_type": _ASSERTION,
            "client_assertion": _assertion(),
        }
        answer = _posted(f"{access.authority}/{access.tenant_id}/oauth2/v2.0/token", form)
        try:
            return Granted(access_token=str(answer["access_token"]), id_token=str(answer["id_token"]))
        except KeyError as error:
            raise AwayError(f"Entra's answer has no {error}") from error

    return redeem


def _assertion() -> str:
    """Return the managed identity's token, or in a pod the one of its service account.

    There the managed identity's own token was exchanged for that one, and Entra takes no exchanged token as an
    assertion.
    """
    try:
        if file := os.environ.get(_POD_TOKEN):
            return Path(file).read_text().strip()
        return identity.current().get_token(_EXCHANGE).token
    except (AzureError, OSError) as error:
        raise AwayError(f"the managed identity has no token: {first_line(error)}") from error


def _posted(url: str, form: dict[str, str]) -> Any:
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    try:
        with urllib.request.urlopen(url, urlencode(form).encode(), _TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310 - https
            return json.loads(answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error.read(_LARGEST)) from error
    except (OSError, ValueError, HTTPException) as error:
        raise AwayError(f"Entra does not answer: {first_line(error)}") from error


def _refusal(body: bytes) -> Exception:
    """Return whose fault it is: a code is the browser's, everything else that of the registration."""
    try:
        found: Any = json.loads(body)
        kind, said = str(found["error"]), str(found.get("error_description", "")).splitlines()[0]
    except (ValueError, TypeError, KeyError, IndexError):
        return AwayError("Entra's answer is no OAuth error")
    return CodeRefusedError(said) if kind == "invalid_grant" else AwayError(f"Entra refuses the platform: {said}")
