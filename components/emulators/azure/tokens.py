"""Access tokens as Entra ID issues them to managed identities: signed by a key of this stack.

A token is a function of the key, the identity, the resource and the time alone. So everybody who asks gets the same
one until it is renewed, also after this program was killed and started again, and none has to be stored.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from components.emulators import durable
from components.emulators.identities import TENANT_ID, EmulatedIdentity

ISSUER = f"https://sts.windows.net/{TENANT_ID}/"
LEAST_LIFETIME = 2
# Azure's clients ask again once less than 300 s are left. Renewing later than that, there is no moment in which one
# holder has the new token and another still trusts its copy of the old one.
RENEWAL_SECONDS = 240


@dataclass(frozen=True)
class Token:
    """`value` is the JWT, `expires_on` its end in seconds since 1970."""

    value: str
    expires_on: int


class TokenRefused(Exception):  # noqa: N818
    """A token that does not admit its bearer. The message is the one that Key Vault answers."""


class Tokens:
    """Issues and checks tokens. `lifetime` in seconds."""

    def __init__(self, state: Path, lifetime: int) -> None:
        if lifetime < LEAST_LIFETIME:
            raise ValueError(f"lifetime: {lifetime} s is below the least allowed, {LEAST_LIFETIME} s.")
        self._key = _signing_key(state / "identity" / "signing.key")
        public = self._key.public_key()
        self._public = public
        self._key_id = hashlib.sha256(
            public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()[:27]
        self._lifetime = lifetime
        self._period = lifetime - max(1, min(lifetime // 4, RENEWAL_SECONDS))

    def issue(self, identity: EmulatedIdentity, audience: str) -> Token:
        """The identity's current token for an audience."""
        # Each identity has its own phase, so that not all tokens are renewed in one second.
        phase = int.from_bytes(hashlib.sha256(identity.principal_id.encode()).digest()[:4], "big") % self._period
        now = int(time.time())
        issued_at = now - (now - phase) % self._period
        claims = _claims(identity, audience, issued_at, issued_at + self._lifetime)
        value = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id, "x5t": self._key_id})
        return Token(value, claims["exp"])

    def check(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a valid token for the audience. Raises TokenRefused for any other."""
        try:
            return jwt.decode(
                token,
                self._public,
                algorithms=["RS256"],
                audience=audience,
                issuer=ISSUER,
                options={"require": ["exp", "nbf", "iat", "aud", "iss", "oid", "appid"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenRefused("[TokenExpired] Error validating token: 'S2S12086'.") from error
        except jwt.InvalidAudienceError as error:
            found = jwt.decode(token, options={"verify_signature": False}).get("aud")
            message = f"AKV10022: Invalid audience. Expected {audience}, found: {found}."
            raise TokenRefused(message) from error
        except jwt.InvalidIssuerError as error:
            raise TokenRefused(f"AKV10032: Invalid issuer. Expected one of {ISSUER}, found another.") from error
        except jwt.InvalidSignatureError as error:
            message = "AKV10046: Unable to resolve the key used for signature validation."
            raise TokenRefused(message) from error
        except jwt.InvalidTokenError as error:
            raise TokenRefused(f"AKV10000: The token cannot be read ({type(error).__name__}).") from error


def resource_id(identity: EmulatedIdentity) -> str:
    """The Azure resource id of an identity."""
    return (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/local"
        f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity.name}"
    )


def _claims(identity: EmulatedIdentity, audience: str, issued_at: int, expires_on: int) -> dict[str, Any]:
    unique = hashlib.sha256(f"{identity.principal_id} {audience} {issued_at}".encode()).hexdigest()
    return {
        "aud": audience,
        "iss": ISSUER,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": expires_on,
        "appid": identity.client_id,
        "appidacr": "2",
        "idp": ISSUER,
        "idtyp": "app",
        "oid": identity.principal_id,
        "sub": identity.principal_id,
        "tid": TENANT_ID,
        "uti": unique[:22],
        "ver": "1.0",
        "xms_mirid": resource_id(identity),
    }


def _signing_key(path: Path) -> rsa.RSAPrivateKey:
    with durable.locked(path.with_suffix(".lock")):
        if not path.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            durable.write(path, pem)
        loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise ValueError(  # noqa: TRY004
            f"{path} holds no RSA key; remove it and a new one is made."
        )
    return loaded
