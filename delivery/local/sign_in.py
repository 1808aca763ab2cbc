"""Sign in to the local stack's Entra: its pipeline as a workflow does on Azure, with no secret; a person by a code."""

from __future__ import annotations

from typing import Any

import requests

from components.compute.local.layout import Layout
from components.emulators import identities
from components.emulators.azure.entra.grants import ASSERTION_TYPE
from components.emulators.azure.managed_identity import API_VERSION, TOKEN_EXCHANGE
from components.emulators.data_plane import ca_bundle, identity_endpoint
from components.mlflow.access import AccessControl
from delivery.local.configuration import LocalStack
from delivery.outcome import CommandError
from delivery.stacks import LOCAL
from infra import local
from infra.settings.model import Settings, parse

_SECONDS = 30


def token(stack: LocalStack) -> str:
    """Return a token. Raises CommandError without access control, and where the stack does not answer."""
    settings = parse(stack.values, LOCAL)
    access = _access(settings)
    bundle = str(ca_bundle(stack.root))
    try:
        pipeline = local.pipeline(settings)
        form = {
            "grant_type": "client_credentials",
            "client_id": pipeline.client_id,
            "scope": f"{access.client_id}/.default",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": identity_token(stack, TOKEN_EXCHANGE),
        }
        address = f"{access.authority}/{access.tenant_id}/oauth2/v2.0/token"
        return _answered(requests.post(address, data=form, timeout=_SECONDS, verify=bundle))
    except (OSError, requests.RequestException) as error:
        raise CommandError(f"token: the local stack does not answer ({error}). Run: make up") from error


def of_a_person(stack: LocalStack) -> dict[str, str]:
    """Return the variables with which `mlflow-entra login` signs a person in. Raises CommandError as `token` does."""
    access = _access(parse(stack.values, LOCAL))
    return {
        "MLFLOW_TRACKING_URI": stack.url,
        "MLFLOW_TRACKING_AUTH": "entra",
        "MLFLOW_ENTRA_CLIENT_ID": access.client_id,
        "AZURE_TENANT_ID": access.tenant_id,
        "AZURE_AUTHORITY_HOST": str(access.authority),
        "REQUESTS_CA_BUNDLE": str(ca_bundle(stack.root)),
    }


def _access(settings: Settings) -> AccessControl:
    found = local.access(settings)
    if found is None:
        raise CommandError(
            "token: the local stack lets in everybody who reaches it; expected access.mode entra. "
            "Run: make up ACCESS=entra"
        )
    return found


def identity_token(stack: LocalStack, resource: str) -> str:
    """Return the deployer's own token for a resource. Raises OSError or requests' errors without an answer."""
    header = identities.header_file(Layout(stack.root).data, local.DEPLOYER).read_text().strip()
    answer = requests.get(
        identity_endpoint(local.data_ports(parse(stack.values, LOCAL))),
        params={
            "resource": resource,
            "api-version": API_VERSION,
            "client_id": identities.client_id(LOCAL, local.DEPLOYER),
        },
        headers={"X-IDENTITY-HEADER": header},
        timeout=_SECONDS,
    )
    return _answered(answer)


def _answered(answer: requests.Response) -> str:
    answer.raise_for_status()
    found: Any = answer.json()
    return str(found["access_token"])
