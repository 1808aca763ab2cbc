"""The token endpoint: client credentials, and codes with PKCE. Refusals have the codes of Entra.

The codes are those of Microsoft Learn, "Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.emulators.azure.entra import claims
from components.emulators.azure.entra.directory import Application, Directory, Principal
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.managed_identity import TOKEN_EXCHANGE
from components.emulators.azure.tokens import TokenRefused, Tokens

CODE_SECONDS = 600
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class GrantRefused(Exception):  # noqa: N818
    """A request that gets no token: Entra's number, OAuth's error and the text."""

    def __init__(self, number: int, error: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.number = number
        self.error = error
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Code:
    """What a code was issued for. `challenge` is PKCE's, empty without."""

    person: Principal
    redirect: str
    challenge: str
    nonce: str | None
    scope: str
    issued_at: float


class Grants:
    """Issues tokens of a directory. `assertions` judges the tokens of managed identities."""

    def __init__(self, directory: Directory, issuer: str, keys: SigningKeys, assertions: Tokens, lifetime: int) -> None:
        self._directory = directory
        self._issuer = issuer
        self._keys = keys
        self._assertions = assertions
        self._lifetime = lifetime
        self._codes: dict[str, Code] = {}
        self._lock = threading.Lock()

    def code(self, person: Principal, asked: Mapping[str, str]) -> str:
        """Return a code for a person who chose to sign in. Raises GrantRefused."""
        self._admit(person, 50057, "The user account is disabled.")
        value = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[value] = Code(
                person=person,
                redirect=asked["redirect_uri"],
                challenge=asked.get("code_challenge", ""),
                nonce=asked.get("nonce"),
                scope=asked.get("scope", ""),
                issued_at=time.monotonic(),
            )
        return value

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request for a token. Raises GrantRefused."""
        match form.get("grant_type"):
            case "client_credentials":
                return self._of_application(form)
            case "authorization_code":
                return self._of_code(form)
        raise GrantRefused(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")

    def _of_application(self, form: Mapping[str, str]) -> dict[str, Any]:
        client_id = form.get("client_id", "")
        application = self._directory.application(client_id)
        if application is None:
            text = f"Application with identifier '{client_id}' was not found in the directory."
            raise GrantRefused(700016, "unauthorized_client", text)
        self._prove(form, application.secret, application.federated)
        self._admit(application, 7000112, f"Application '{client_id}' is disabled.", "unauthorized_client")
        platform = self._directory.platform.client_id
        if form.get("scope", "") not in (f"{platform}/.default", f"api://{platform}/.default"):
            text = f"The resource principal named {form.get('scope')!r} was not found in the tenant."
            raise GrantRefused(500011, "invalid_resource", text)
        return self._answer(application, application.client_id)

    def _of_code(self, form: Mapping[str, str]) -> dict[str, Any]:
        platform = self._directory.platform
        if form.get("client_id", "").lower() != platform.client_id:
            raise GrantRefused(700016, "unauthorized_client", "The application was not found in the directory.")
        self._prove(form, None, platform.federated)
        with self._lock:
            # Good for one attempt, whatever comes of it.
            code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise GrantRefused(54005, "invalid_grant", "OAuth2 authorization code was already redeemed, or is unknown.")
        if time.monotonic() - code.issued_at > CODE_SECONDS:
            raise GrantRefused(70008, "invalid_grant", "The provided authorization code has expired.")
        if form.get("redirect_uri") != code.redirect:
            raise GrantRefused(500112, "invalid_client", "The reply address does not match the one of the request.")
        if code.challenge and not _proves(form.get("code_verifier", ""), code.challenge):
            raise GrantRefused(501481, "invalid_grant", "The code_verifier does not match the code_challenge.")
        found = self._answer(code.person, platform.client_id)
        if "openid" not in code.scope.split():
            return found
        identity = claims.id_token(self._directory, self._issuer, code.person, code.nonce, self._lifetime)
        return {**found, "id_token": self._keys.sign(identity)}

    def _prove(self, form: Mapping[str, str], secret: str | None, federated: tuple[str, ...]) -> None:
        """Refuse a client that has neither its secret nor a token of one of its managed identities."""
        given = form.get("client_secret")
        if given is not None:
            if secret is None or not hmac.compare_digest(given.encode(), secret.encode()):
                raise GrantRefused(7000215, "invalid_client", "Invalid client secret provided.", 401)
            return
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            text = "The request body must contain: 'client_assertion' or 'client_secret'."
            raise GrantRefused(7000218, "invalid_client", text, 401)
        try:
            subject = self._assertions.check(form.get("client_assertion", ""), TOKEN_EXCHANGE)["sub"]
        except TokenRefused as refused:
            raise GrantRefused(700027, "invalid_client", f"Client assertion is not valid. {refused}", 401) from refused
        if subject not in federated:
            text = f"No matching federated identity record found for presented assertion subject '{subject}'."
            raise GrantRefused(700213, "invalid_client", text, 401)

    def _admit(self, principal: Principal, number: int, text: str, error: str = "invalid_grant") -> None:
        platform = self._directory.platform
        if not platform.enabled:
            raise GrantRefused(7000112, "unauthorized_client", f"Application '{platform.client_id}' is disabled.")
        if not principal.enabled:
            raise GrantRefused(number, error, text)
        if platform.assignment_required and not principal.roles:
            application = isinstance(principal, Application)
            text = f"{principal.name!r} is not assigned to a role for the application '{platform.client_id}'."
            raise GrantRefused(501051 if application else 50105, "invalid_grant", text)

    def _answer(self, principal: Principal, application: str) -> dict[str, Any]:
        token = claims.access_token(self._directory, self._issuer, principal, application, self._lifetime)
        return {
            "token_type": "Bearer",
            "expires_in": self._lifetime,
            "ext_expires_in": self._lifetime,
            "access_token": self._keys.sign(token),
        }


def _proves(verifier: str, challenge: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
