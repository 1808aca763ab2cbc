"""Tokens as Entra issues them, and such as it never would, signed by keys of the tests."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from mlflow_runtime.middleware.access.settings import AUTHORITY, Access

TENANT = "aaaaaaaa-0000-0000-0000-000000000001"
CLIENT = "bbbbbbbb-0000-0000-0000-000000000002"
ANNA = "cccccccc-0000-0000-0000-000000000003"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
KEY_ID = "key-1"

ACCESS = Access(
    authority=AUTHORITY,
    tenant_id=TENANT,
    client_id=CLIENT,
    workspaces=("default", "team-a", "team-b"),
    groups={},
    blocked=frozenset(),
    contact="ml-platform@example.com",
)


@functools.cache
def key(identifier: str = KEY_ID) -> rsa.RSAPrivateKey:
    """Return a private key of a key id, the same each time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set(*identifiers: str) -> dict[str, Any]:
    """Return the document of these keys, of the one key by default."""
    return {
        "keys": [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key(each).public_key())), "kid": each, "use": "sig"}
            for each in identifiers or (KEY_ID,)
        ]
    }


def claims(*roles: str, **changes: Any) -> dict[str, Any]:
    """Return the claims of a good token with these app roles. A change to None leaves a claim out."""
    now = int(time.time())
    found = {
        "iss": ACCESS.issuer,
        "aud": CLIENT,
        "tid": TENANT,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "oid": ANNA,
        "sub": "subject",
        "azp": AZURE_CLI,
        "preferred_username": "anna@example.com",
        "roles": list(roles),
        "ver": "2.0",
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(*roles: str, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """Return a token with these roles, signed by the key that its header names."""
    sent = {"kid": KEY_ID, **(header or {})}
    return jwt.encode(claims(*roles, **changes), key(sent["kid"]), algorithm="RS256", headers=sent)
