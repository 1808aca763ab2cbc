"""The keys of the tenant: two at a time, of which the newer one signs. A rotation drops the older one."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from components.emulators import durable

_PUBLISHED = 2


class SigningKeys:
    """The keys in a folder, which is made with a first one when missing. They stay the same over a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        if not self._files():
            self.rotate()
        self._keys = [_load(path) for path in self._files()]

    def rotate(self) -> None:
        """Sign with a new key from now on. Tokens of the key before stay valid until the next rotation."""
        with self._lock:
            files = self._files()
            number = int(files[-1].stem) + 1 if files else 1
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            durable.write(self._folder / f"{number:04d}.pem", pem)
            for old in self._files()[:-_PUBLISHED]:
                old.unlink()
            self._keys = [_load(path) for path in self._files()]

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token with these claims."""
        key = self._keys[-1]
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": _key_id(key.public_key())})

    def document(self, issuer: str) -> dict[str, Any]:
        """Return the public keys as Entra publishes them."""
        return {
            "keys": [
                {
                    **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())),
                    "kid": _key_id(key.public_key()),
                    "x5t": _key_id(key.public_key()),
                    "use": "sig",
                    "issuer": issuer,
                }
                for key in self._keys
            ]
        }

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.pem"))


def _load(path: Path) -> rsa.RSAPrivateKey:
    loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key; remove it and a new one is made.")  # noqa: TRY004
    return loaded


def _key_id(key: rsa.RSAPublicKey) -> str:
    public = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()[:27]
