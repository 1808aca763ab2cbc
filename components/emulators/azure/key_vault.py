"""The REST interface of a Key Vault's secrets: who is asking, whether that is allowed, and what is asked.

Paths, status codes and bodies are those of Key Vault with Azure RBAC. Backup, restore, keys and certificates are not
served. Lists come in one page.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from components.emulators.azure.http import Request, Response
from components.emulators.azure.managed_identity import VAULT
from components.emulators.azure.tokens import ISSUER, TokenRefused, Tokens
from components.emulators.azure.vault import Document, Vault, VaultError, bad_parameter
from components.emulators.identities import TENANT_ID, EmulatedIdentity

API_VERSIONS = ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_CHALLENGE = f'Bearer authorization="https://login.microsoftonline.com/{TENANT_ID}", resource="{VAULT}"'

Operation = Callable[[], Document | None]


class KeyVault:
    """Serves a vault to identities. `name` is what the vault is called in refusals."""

    def __init__(self, name: str, vault: Vault, tokens: Tokens, identities: Iterable[EmulatedIdentity]) -> None:
        self._name = name
        self._vault = vault
        self._tokens = tokens
        self._identities = {identity.principal_id: identity for identity in identities}

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        headers = {"x-ms-request-id": str(uuid.uuid4()), "x-ms-keyvault-region": "local"}
        if client_request_id := request.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = client_request_id
        try:
            principal = self._principal(request)
        except TokenRefused as refusal:
            body = {"error": {"code": "Unauthorized", "message": str(refusal)}}
            return Response(401, body, headers | {"WWW-Authenticate": _CHALLENGE})
        try:
            _check_version(request)
            action, name, operation = self._route(request)
            self._authorize(principal, action, name)
            result = operation()
        except VaultError as error:
            return Response(error.status, _error(error), headers)
        return Response(200 if result is not None else 204, result, headers)

    def _principal(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused("AKV10000: Request is missing a Bearer or PoP token.")
        return str(self._tokens.check(token.strip(), VAULT)["oid"])

    def _route(self, request: Request) -> tuple[str, str | None, Operation]:
        """The RBAC action that a request needs, the secret that it names if any, and the work."""
        vault = self._vault
        match request.method, *request.path.strip("/").split("/"):
            case "GET", "secrets":
                return "readMetadata/action", None, lambda: _page(vault.current())
            case "GET", "secrets", name, "versions":
                return "readMetadata/action", _checked(name), lambda: _page(vault.versions(name))
            case "GET", "secrets", name, *version if len(version) <= 1:
                return "getSecret/action", _checked(name), lambda: vault.get(name, "".join(version))
            case "PUT", "secrets", name:
                return "setSecret/action", _checked(name), lambda: vault.set(name, _body(request))
            case "PATCH", "secrets", name, *version if len(version) <= 1:
                changes = _body(request)
                return "update/action", _checked(name), lambda: vault.update(name, "".join(version), changes)
            case "DELETE", "secrets", name:
                return "delete", _checked(name), lambda: vault.delete(name)
            case "GET", "deletedsecrets":
                return "readMetadata/action", None, lambda: _page(vault.list_deleted())
            case "GET", "deletedsecrets", name:
                return "readMetadata/action", _checked(name), lambda: vault.get_deleted(name)
            case "POST", "deletedsecrets", name, "recover":
                return "recover/action", _checked(name), lambda: vault.recover(name)
            case "DELETE", "deletedsecrets", name:
                return "purge/action", _checked(name), lambda: vault.purge(name)
            case _, "secrets" | "deletedsecrets", *_:
                message = f"Method {request.method} does not allow operation on {request.path}"
                raise VaultError(405, "MethodNotAllowed", message)
        raise VaultError(404, "NotFound", f"There is no {request.path} in this key vault.")

    def _authorize(self, principal: str, action: str, name: str | None) -> None:
        identity = self._identities.get(principal)
        if identity is not None:
            readable = {secret.lower() for secret in identity.secrets}
            reads = action in ("getSecret/action", "readMetadata/action")
            if identity.manage_secrets or (reads and name is not None and name.lower() in readable):
                return
        caller = f"appid={identity.client_id if identity else 'unknown'};oid={principal};iss={ISSUER}"
        resource = f"{self._name}/secrets/{name}" if name else self._name
        message = "\r\n".join(
            (
                "Caller is not authorized to perform action on resource.",
                "If role assignments, deny assignments or role definitions were changed recently, "
                "please observe propagation time.",
                f"Caller: {caller}",
                f"Action: 'Microsoft.KeyVault/vaults/secrets/{action}'",
                f"Resource: '{resource}'",
                "Assignment: (not found)",
                "DenyAssignmentId: null",
                "DecisionReason: null",
                f"Vault: {self._name};location=local",
                "",
            )
        )
        raise VaultError(403, "Forbidden", message, "ForbiddenByRbac")


def _check_version(request: Request) -> None:
    version = request.query.get("api-version")
    if not version:
        raise bad_parameter("api-version must be specified")
    if version not in API_VERSIONS:
        raise bad_parameter(
            f"The specified version ({version}) is not recognized. "
            f"Consider using the latest supported version ({API_VERSIONS[-1]})."
        )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise bad_parameter(f"The request URI contains an invalid name: {name}")
    return name


def _body(request: Request) -> Document:
    try:
        body: Any = json.loads(request.body)
    except ValueError as error:
        raise bad_parameter("The request body is no valid JSON.") from error
    if not isinstance(body, dict):
        raise bad_parameter("The request body must be an object.")
    return body


def _page(items: list[Document]) -> Document:
    return {"value": items, "nextLink": None}


def _error(error: VaultError) -> Document:
    described: Document = {"code": error.code, "message": error.message}
    if error.inner:
        described["innererror"] = {"code": error.inner}
    return {"error": described}
