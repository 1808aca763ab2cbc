"""A token of the local stack's Entra for its pipeline, got as a workflow gets one on Azure: with no secret."""

from __future__ import annotations

from typing import Any

import requests

from components.compute.local.layout import Layout
from components.emulators import identities
from components.emulators.azure.entra.grants import ASSERTION_TYPE
from components.emulators.azure.managed_identity import API_VERSION, TOKEN_EXCHANGE
from components.emulators.data_plane import ca_bundle, identity_endpoint
from delivery.local.configuration import STACK, LocalStack
from delivery.outcome import CommandError
from infra import local
from infra.settings.model import parse

_SECONDS = 30


def token(stack: LocalStack) -> str:
    """Return a token. Raises CommandError without access control, and where the stack does not answer."""
    settings = parse(stack.values, STACK)
    access = local.access(settings)
    if access is None:
        raise CommandError(
            "token: the local stack lets in everybody who reaches it; expected access.mode entra. "
            "Run: make up ACCESS=entra"
        )
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


def identity_token(stack: LocalStack, resource: str) -> str:
    """Return the deployer's own token for a resource. Raises OSError or requests' errors without an answer."""
    header = identities.header_file(Layout(stack.root).data, local.DEPLOYER).read_text().strip()
    answer = requests.get(
        identity_endpoint(local.data_ports(parse(stack.values, STACK))),
        params={
            "resource": resource,
            "api-version": API_VERSION,
            "client_id": identities.client_id(STACK, local.DEPLOYER),
        },
        headers={"X-IDENTITY-HEADER": header},
        timeout=_SECONDS,
    )
    return _answered(answer)


def _answered(answer: requests.Response) -> str:
    answer.raise_for_status()
    found: Any = answer.json()
    return str(found["access_token"])
