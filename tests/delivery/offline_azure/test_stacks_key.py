"""The stand-in for the key of an offline stack's secrets: strict, and what it encrypted it decrypts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from delivery.offline_azure.stacks_key import PATH, answer, environment

TOKEN = environment("http://127.0.0.1:1")["VAULT_SERVER_TOKEN"]


def test_what_it_encrypted_it_decrypts() -> None:
    _, encrypted = answer(f"{PATH}encrypt/offline", {"plaintext": "aHVzaA=="}, TOKEN)
    assert answer(f"{PATH}decrypt/offline", encrypted["data"], TOKEN) == (200, {"data": {"plaintext": "aHVzaA=="}})


@pytest.mark.parametrize(
    ("path", "sent", "token", "status"),
    [
        ("encrypt/offline", {"plaintext": "eA=="}, None, 403),
        ("encrypt/offline", {"plaintext": "eA=="}, "of-the-user", 403),
        ("encrypt/another", {"plaintext": "eA=="}, TOKEN, 404),
        ("rewrap/offline", {"ciphertext": "vault:v1:eA=="}, TOKEN, 404),
        ("encrypt/offline", {"ciphertext": "vault:v1:eA=="}, TOKEN, 400),
        ("encrypt/offline", {"plaintext": 1}, TOKEN, 400),
        ("decrypt/offline", {"ciphertext": "eA=="}, TOKEN, 400),
        ("decrypt/offline", {}, TOKEN, 400),
    ],
)
def test_another_request_is_refused(path: str, sent: Mapping[str, object], token: str | None, status: int) -> None:
    found, body = answer(f"{PATH}{path}", sent, token)
    assert (found, list(body)) == (status, ["errors"])
