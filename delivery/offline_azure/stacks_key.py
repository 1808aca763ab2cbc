"""A stand-in for the key of an offline stack's secrets. The engine requests it through Vault's protocol.

It encrypts nothing: neither the stack nor its state outlives the run. A passphrase would do as well, but the engine
takes a quarter of a second in each command to make a key of one. The protocol is that of Vault's transit engine
(HashiCorp, "Transit secrets engine (API)"): `PUT /v1/transit/encrypt/NAME` and `/v1/transit/decrypt/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

PATH: Final = "/v1/transit/"
PROVIDER: Final = "hashivault://offline"
"""The secrets provider of a stack."""

_TOKEN: Final = "offline"  # noqa: S105 - of nothing
_MARK: Final = "vault:v1:"


def environment(url: str) -> dict[str, str]:
    """Return the variables by which the engine finds the key on the server at `url`."""
    return {"VAULT_SERVER_URL": url, "VAULT_SERVER_TOKEN": _TOKEN}


def answer(path: str, sent: Mapping[str, Any], token: str | None) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of the answer: 403, 404 and 400 as Vault has them, with `errors`."""
    if token != _TOKEN:
        return HTTPStatus.FORBIDDEN, {"errors": ["permission denied"]}
    operation, _, name = path.removeprefix(PATH).partition("/")
    if operation not in ("encrypt", "decrypt") or f"hashivault://{name}" != PROVIDER:
        return HTTPStatus.NOT_FOUND, {"errors": []}
    plain, ciphered = sent.get("plaintext"), sent.get("ciphertext")
    if operation == "encrypt" and isinstance(plain, str):
        return HTTPStatus.OK, {"data": {"ciphertext": f"{_MARK}{plain}"}}
    if operation == "decrypt" and isinstance(ciphered, str) and ciphered.startswith(_MARK):
        return HTTPStatus.OK, {"data": {"plaintext": ciphered.removeprefix(_MARK)}}
    return HTTPStatus.BAD_REQUEST, {"errors": [f"invalid {operation} request"]}
