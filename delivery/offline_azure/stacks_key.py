"""The key of an offline stack's secrets, for which the engine asks as for one in a Vault; it encrypts nothing.

Neither the stack nor its state outlives the run. A passphrase would do as well, but to make a key of one takes the
engine a quarter of a second in each command. The protocol is that of Vault's transit engine (HashiCorp, "Transit
secrets engine (API)"): `PUT /v1/transit/encrypt/NAME` and `/v1/transit/decrypt/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PATH: Final = "/v1/transit/"
PROVIDER: Final = "hashivault://offline"
"""The secrets provider of a stack."""

_MARK: Final = "vault:v1:"


def environment(url: str) -> dict[str, str]:
    """Return the variables by which the engine finds the key on the server at `url`."""
    return {"VAULT_SERVER_URL": url, "VAULT_SERVER_TOKEN": "offline"}


def answer(path: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the answer. Raises KeyError for a request without its text."""
    if path.startswith(f"{PATH}encrypt/"):
        return {"data": {"ciphertext": f"{_MARK}{sent['plaintext']}"}}
    return {"data": {"plaintext": str(sent["ciphertext"]).removeprefix(_MARK)}}
