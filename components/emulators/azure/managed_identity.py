"""The managed identity endpoint of App Service and Container Apps, protocol 2019-08-01.

Status codes and bodies follow what Azure's endpoint answers: 403 without a body for a missing or unknown header, 400
for an identity that is not assigned, 405 for other methods than GET, 500 for a resource that Entra does not know.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from components.emulators import durable
from components.emulators.azure.http import Request, Response
from components.emulators.azure.tokens import Token, Tokens, resource_id
from components.emulators.identities import EmulatedIdentity, header_file

TOKEN_PATH = "/msi/token"  # noqa: S105
API_VERSION = "2019-08-01"
DATABASE = "https://ossrdbms-aad.database.windows.net"
VAULT = "https://vault.azure.net"
STORAGE = "https://storage.azure.com"
MANAGEMENT = "https://management.azure.com"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105
"""What an application's federated credential takes in place of a secret."""

_AUDIENCES = frozenset({DATABASE, VAULT, STORAGE, MANAGEMENT, TOKEN_EXCHANGE, "https://management.core.windows.net"})
_STORAGE_ACCOUNT = re.compile(r"https://[a-z0-9]{3,24}\.blob\.core\.windows\.net")

log = logging.getLogger(__name__)

DatabaseSignIn = Callable[[EmulatedIdentity, Token], None]


class ManagedIdentityEndpoint:
    """Hands a token of an identity to whoever holds that identity's header.

    `admit` receives every database token before it is issued. `ready` answers GET /ready.
    """

    def __init__(
        self,
        headers: Mapping[str, EmulatedIdentity],
        tokens: Tokens,
        admit: DatabaseSignIn,
        ready: Callable[[], bool],
    ) -> None:
        self._headers = headers
        self._tokens = tokens
        self._admit = admit
        self._ready = ready

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == "/ready":
            return Response(200, {"status": "ready"}) if self._ready() else Response(503, {"status": "starting"})
        if request.path.rstrip("/") != TOKEN_PATH:
            return Response(404)
        if request.method != "GET":
            return Response(405, headers={"Allow": "GET"})
        holder = self._holder(request.headers.get("x-identity-header", ""))
        if holder is None:
            return Response(403)
        if request.query.get("api-version") != API_VERSION:
            return _refusal(400, f"The api-version is not supported; use {API_VERSION}.")
        resource = request.query.get("resource", "")
        if not resource:
            return _refusal(400, "The parameter 'resource' is required.")
        problem = _selection_problem(request.query, holder)
        if problem is not None:
            return _refusal(400, problem)
        # Entra ignores the slash. One spelling makes one token, which the database needs: a role has one password.
        audience = resource.rstrip("/")
        if audience not in _AUDIENCES and not _STORAGE_ACCOUNT.fullmatch(audience):
            return _refusal(500, "An unexpected error occured while fetching the AAD Token.")
        return self._hand_out(holder, resource, audience)

    def _hand_out(self, identity: EmulatedIdentity, resource: str, audience: str) -> Response:
        token = self._tokens.issue(identity, audience)
        if audience == DATABASE:
            self._admit(identity, token)
        log.info("token for %s handed to %s", audience, identity.name)
        body = {
            "access_token": token.value,
            "expires_on": str(token.expires_on),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": identity.client_id,
        }
        return Response(200, body)

    def _holder(self, header: str) -> EmulatedIdentity | None:
        matches = [
            identity
            for value, identity in self._headers.items()
            if hmac.compare_digest(value.encode(), header.encode("utf-8", "surrogateescape"))
        ]
        return matches[0] if matches else None


def identity_headers(state: Path, identities: Iterable[EmulatedIdentity]) -> dict[str, EmulatedIdentity]:
    """The header value of each identity, made once and kept in `STATE/identity-headers/NAME`."""
    headers = {}
    with durable.locked(state / "identity-headers" / ".lock"):
        for identity in identities:
            path = header_file(state, identity.name)
            if not path.exists():
                durable.write(path, secrets.token_hex(32).encode())
            headers[path.read_text().strip()] = identity
    return headers


def _selection_problem(query: Mapping[str, str], holder: EmulatedIdentity) -> str | None:
    """Why the identity that the query asks for is not the holder's. No selection asks for a system-assigned one."""
    selectors = {
        "client_id": holder.client_id,
        "principal_id": holder.principal_id,
        "object_id": holder.principal_id,
        "mi_res_id": resource_id(holder),
    }
    asked = {name: value for name, value in query.items() if name in selectors}
    if not asked:
        return "Unable to load the proper Managed Identity."
    if any(value.lower() != selectors[name].lower() for name, value in asked.items()):
        return "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
    return None


def _refusal(status: int, message: str) -> Response:
    correlation_id = str(uuid.uuid4())
    log.info("refused: %s %s", status, message)
    return Response(status, {"statusCode": status, "message": message, "correlationId": correlation_id})
