"""The verification of an Entra access token: version 2.0, of one tenant, for one application."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from anyio import CapacityLimiter, to_thread
from jwt import PyJWK

from mlflow_runtime.middleware.access.keys import Keys
from mlflow_runtime.middleware.access.roles import (
    Part,
    Role,
    has_too_many_groups,
    parts_shared_with,
    roles_of,
    shared_with,
    values_of,
)
from mlflow_runtime.middleware.access.settings import Access

ALGORITHM: Final = "RS256"
"""The one that Entra signs with. A token does not choose."""

LEEWAY_SECONDS: Final = 60
"""By how much the clocks of Entra and of this machine may differ."""

_REQUIRED: Final = ("iss", "aud", "tid", "exp", "nbf", "oid", "azp")
_KEPT: Final = 2048
_EXPIRED: Final = "has expired; get a new one"


class TokenRefusedError(Exception):
    """A token that admits nobody. The message completes "the token" and holds nothing of the token.

    `expired` is for one whose only fault is its age.
    """

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a token speaks for. `name` is for people to read, `oid` never changes, `application` is who got the token.

    `roles` is the role in each workspace where there is one, `shared` those of them that only a share lets the caller
    read. `parts` is what the caller reads of other workspaces. `expires_at` is in seconds since 1970.
    """

    oid: str
    name: str
    application: str
    roles: Mapping[str, Role]
    expires_at: float
    shared: frozenset[str] = frozenset()
    parts: Mapping[str, Part] = field(default_factory=dict)


class Tokens:
    """Verifies tokens. One that was seen before costs a digest; no token is kept, only its digest."""

    def __init__(self, access: Access, keys: Keys, *, clock: Callable[[], float] = time.time) -> None:
        self._access = access
        self._keys = keys
        self._clock = clock
        self._seen: OrderedDict[bytes, Caller] = OrderedDict()
        self._asking = CapacityLimiter(1)

    async def caller(self, token: str) -> Caller:
        """Return who a token speaks for. Raises TokenRefusedError, and NoKeysError if no token can be judged."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = self._seen.get(digest)
        if found is None:
            found = verified(token, await self._key(key_id(token)), self._access)
            self._seen[digest] = found
            if len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        if self._clock() > found.expires_at + LEEWAY_SECONDS:
            del self._seen[digest]
            raise TokenRefusedError(_EXPIRED, expired=True)
        return found

    async def refuse_foreign_id_token(self, token: str, nonce: str) -> None:
        """Raise TokenRefusedError unless Entra issued an ID token for the sign-in that has this nonce."""
        claims = _decoded(token, await self._key(key_id(token)), self._access)
        if claims.get("nonce") != nonce:
            raise TokenRefusedError("belongs to another sign-in; sign in again")

    async def _key(self, identifier: str) -> PyJWK:
        key = self._keys.get(identifier)
        if key is None:
            # Not one of the threads that work for requests: those may all be busy.
            key = await to_thread.run_sync(self._keys.find, identifier, limiter=self._asking)
        if key is None:
            raise TokenRefusedError("is signed with a key that this tenant does not have")
        return key


def key_id(token: str) -> str:
    """Return the id of the key that a token names, and nothing else of its header: `jku`, `jwk` and `x5u` count for
    nothing. Raises TokenRefusedError.
    """
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise TokenRefusedError("cannot be read; send an access token, not an API key") from error
    if header.get("alg") != ALGORITHM:
        raise TokenRefusedError(f"is not signed with {ALGORITHM}")
    found = header.get("kid")
    if not isinstance(found, str):
        raise TokenRefusedError("names no key")
    return found


def verified(token: str, key: PyJWK, access: Access) -> Caller:
    """Return who a token speaks for, if `key` signed it and it is for `access`. Raises TokenRefusedError."""
    claims = _decoded(token, key, access, *_REQUIRED)
    if claims["tid"] != access.tenant_id:
        raise TokenRefusedError(f"is of another tenant; sign in to {access.tenant_id}")
    oid, application = claims["oid"], claims["azp"]
    if not isinstance(oid, str) or not isinstance(application, str):
        raise TokenRefusedError("names nobody")
    if access.groups and has_too_many_groups(claims):
        raise TokenRefusedError("names no group, since its holder is in more than Entra writes into one; use app roles")
    own = roles_of(values_of(claims, access.groups), access.workspaces)
    shared = shared_with(own, access.shares)
    parts = parts_shared_with(own, access.shared_models, access.shared_artifacts)
    return Caller(
        oid=oid,
        name=_name(claims) or f"application {application}",
        application=application,
        roles={**dict.fromkeys(sorted(shared), Role.READER), **own},
        expires_at=float(claims["exp"]),
        shared=shared,
        parts={team: part for team, part in parts.items() if team not in shared},
    )


def _decoded(token: str, key: PyJWK, access: Access, *required: str) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[ALGORITHM],
            audience=access.client_id,
            issuer=access.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": list(required), "strict_aud": True},
        )
    except jwt.InvalidTokenError as error:
        expired = isinstance(error, jwt.ExpiredSignatureError)
        raise TokenRefusedError(_reason(error, access), expired=expired) from error
    return claims


def _name(claims: Mapping[str, Any]) -> str | None:
    found = next((claims[name] for name in ("preferred_username", "name") if isinstance(claims.get(name), str)), None)
    return None if found is None else "".join(filter(str.isprintable, found))[:120]


def _reason(error: jwt.InvalidTokenError, access: Access) -> str:
    if isinstance(error, jwt.ExpiredSignatureError):
        return _EXPIRED
    if isinstance(error, jwt.ImmatureSignatureError):
        return "is not valid yet; check the clocks of this machine and of the platform"
    if isinstance(error, jwt.InvalidAudienceError):
        return f"is for another application; ask for the scope {access.client_id}/.default"
    if isinstance(error, jwt.InvalidIssuerError):
        return (
            f"is not issued by {access.issuer}; sign in to that tenant, and let the application registration ask for "
            "version 2 tokens (requestedAccessTokenVersion: 2)"
        )
    if isinstance(error, jwt.MissingRequiredClaimError):
        hint = "; send an access token, not an ID token" if error.claim == "azp" else ""
        return f"lacks the claim {error.claim}{hint}"
    if isinstance(error, jwt.InvalidSignatureError):
        return "is not signed by Entra"
    return "cannot be read"
