"""The token endpoint: client credentials, codes with PKCE, device codes and refresh tokens. Refusals have the codes of
Entra.

The codes are those of Microsoft Learn, "Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.emulators.azure.entra import claims
from components.emulators.azure.entra.device_codes import DeviceCodes
from components.emulators.azure.entra.directory import Application, Directory, Principal
from components.emulators.azure.entra.refused import GrantRefused
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.managed_identity import TOKEN_EXCHANGE
from components.emulators.azure.tokens import TokenRefused, Tokens

CODE_SECONDS = 600
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
# A client may add these scopes to that of the platform.
_OPENID_SCOPES = ("openid", "profile", "offline_access", "email")


@dataclass(frozen=True, kw_only=True)
class Code:
    """What a code was issued for. `challenge` is PKCE's, empty without."""

    person: Principal
    redirect: str
    challenge: str
    nonce: str | None
    scope: str
    issued_at: float


@dataclass(frozen=True, kw_only=True)
class Refresh:
    """A refresh token: the person that it stands for, and the client that got it."""

    person: Principal
    client_id: str
    scope: str


class Grants:
    """Issues tokens of a directory. `assertions` judges the tokens of managed identities."""

    def __init__(self, directory: Directory, issuer: str, keys: SigningKeys, assertions: Tokens, lifetime: int) -> None:
        self._directory = directory
        self._issuer = issuer
        self._keys = keys
        self._assertions = assertions
        self._lifetime = lifetime
        self._codes: dict[str, Code] = {}
        self._refreshes: dict[str, Refresh] = {}
        self._device_codes = DeviceCodes()
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
            case value if value == DEVICE_CODE:
                return self._of_device(form)
            case "refresh_token":
                return self._of_refresh(form)
        raise GrantRefused(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")

    def _of_application(self, form: Mapping[str, str]) -> dict[str, Any]:
        client_id = form.get("client_id", "")
        application = self._directory.application(client_id)
        if application is None:
            text = f"Application with identifier '{client_id}' was not found in the directory."
            raise GrantRefused(700016, "unauthorized_client", text)
        self._prove(form, application.secret, application.federated)
        self._admit(application, 7000112, f"Application '{client_id}' is disabled.", "unauthorized_client")
        self._is_for_the_platform([form.get("scope", "")])
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
        return self._of_person(code.person, platform.client_id, code.scope, nonce=code.nonce)

    def begin_device(self, form: Mapping[str, str]) -> tuple[str, str]:
        """Return the device code and the user code of a client without a secret. Raises GrantRefused."""
        client_id, scope = form.get("client_id", "").lower(), form.get("scope", "")
        platform = self._directory.platform
        if client_id not in platform.preauthorized:
            text = f"The user or administrator has not consented to use the application with ID '{client_id}'."
            raise GrantRefused(65001, "invalid_grant", text)
        self._is_for_the_platform(_resources(scope))
        return self._device_codes.begin(client_id, scope)

    def waits(self, user_code: str) -> bool:
        """Return whether a client waits for the person who enters this code."""
        return self._device_codes.waits(user_code)

    def enter(self, user_code: str, person: Principal | None) -> None:
        """Sign the person in where the code was shown; None declines. Raises GrantRefused."""
        if person is not None:
            self._admit(person, 50057, "The user account is disabled.")
        if not self._device_codes.choose(user_code, person):
            raise GrantRefused(70018, "bad_verification_code", "Invalid verification code.")

    def _of_device(self, form: Mapping[str, str]) -> dict[str, Any]:
        client_id = form.get("client_id", "").lower()
        person, scope = self._device_codes.redeem(form.get("device_code", ""), client_id)
        return self._of_person(person, client_id, scope, home=form.get("client_info") == "1")

    def _of_refresh(self, form: Mapping[str, str]) -> dict[str, Any]:
        given = form.get("refresh_token", "")
        with self._lock:
            found = self._refreshes.get(given)
        if found is None or form.get("client_id", "").lower() != found.client_id:
            raise GrantRefused(70000, "invalid_grant", "The provided refresh token is not valid.")
        scope = form.get("scope", found.scope)
        self._is_for_the_platform(_resources(scope))
        answer = self._of_person(found.person, found.client_id, scope, home=form.get("client_info") == "1")
        if "refresh_token" in answer:
            with self._lock:
                self._refreshes.pop(given, None)
        return answer

    def _of_person(
        self, person: Principal, client_id: str, scope: str, *, nonce: str | None = None, home: bool = False
    ) -> dict[str, Any]:
        """Return the tokens of a person for the scopes that a client asked for."""
        self._admit(person, 50057, "The user account is disabled.")
        found, asked = self._answer(person, client_id), scope.split()
        if "openid" in asked:
            identity = claims.id_token(self._directory, self._issuer, person, client_id, nonce, self._lifetime)
            found["id_token"] = self._keys.sign(identity)
        if "offline_access" in asked and client_id != self._directory.platform.client_id:
            found["refresh_token"] = secrets.token_urlsafe(64)
            with self._lock:
                self._refreshes[found["refresh_token"]] = Refresh(person=person, client_id=client_id, scope=scope)
        if home:
            account = {"uid": person.object_id, "utid": self._directory.tenant_id}
            found["client_info"] = base64.urlsafe_b64encode(json.dumps(account).encode()).decode().rstrip("=")
        return found

    def _is_for_the_platform(self, scopes: list[str]) -> None:
        platform = self._directory.platform.client_id
        if len(scopes) != 1 or scopes[0] not in (f"{platform}/.default", f"api://{platform}/.default"):
            text = f"The resource principal named {' '.join(scopes)!r} was not found in the tenant."
            raise GrantRefused(500011, "invalid_resource", text)

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


def _resources(scope: str) -> list[str]:
    return [each for each in scope.split() if each not in _OPENID_SCOPES]


def _proves(verifier: str, challenge: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
