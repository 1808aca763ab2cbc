"""Secrets from a Key Vault that answers as Azure's does."""

from __future__ import annotations

import pytest
from azure.keyvault.secrets import SecretClient

from mlflow_runtime.azure import secrets
from mlflow_runtime.azure.secrets import SecretsError
from mlflow_runtime.routes import ServiceRole
from tests.runtime import conftest
from tests.support.services import BY_ROLE, Platform

WEBHOOKS = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
PASSPHRASE = "MLFLOW_CRYPTO_KEK_PASSPHRASE"


def sign_in(platform: Platform, role: str, monkeypatch: pytest.MonkeyPatch) -> SecretClient:
    conftest.sign_in(platform, role, monkeypatch)
    return secrets.client(platform.plane.vault_url)


@pytest.mark.parametrize(
    ("role", "variables"),
    [
        (ServiceRole.TRACKING, {WEBHOOKS, PASSPHRASE}),
        (ServiceRole.REGISTRY, {WEBHOOKS}),
        (ServiceRole.ARTIFACTS, set()),
    ],
)
def test_a_role_gets_its_secrets_and_no_others(
    shared: Platform, monkeypatch: pytest.MonkeyPatch, role: ServiceRole, variables: set[str]
) -> None:
    found: dict[str, str] = {}
    secrets.load(role, sign_in(shared, role, monkeypatch), found)
    assert set(found) == variables
    assert all(len(value) >= 32 for value in found.values())


def test_a_secret_that_is_not_there_yet_is_waited_for(shared: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = sign_in(shared, "prepare", monkeypatch)
    value = keeper.get_secret("webhook-encryption-key").value
    keeper.begin_delete_secret("webhook-encryption-key").wait()
    client = sign_in(shared, "registry", monkeypatch)
    pauses: list[float] = []

    def bring_back(seconds: float) -> None:
        pauses.append(seconds)
        # Signed in again: in a token's last minutes a client asks for another, by what the environment says then.
        with monkeypatch.context() as meanwhile:
            again = sign_in(shared, "prepare", meanwhile)
            again.begin_recover_deleted_secret("webhook-encryption-key").wait()

    found: dict[str, str] = {}
    secrets.load(ServiceRole.REGISTRY, client, found, sleep=bring_back)
    assert found == {WEBHOOKS: value}
    assert len(pauses) == 1


def test_a_refusal_that_lasts_names_secret_vault_and_identity(
    shared: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(shared, "registry", monkeypatch)  # may not read tracking's passphrase
    clock = iter(range(0, 1000, 10))
    with pytest.raises(SecretsError) as raised:
        secrets.load(ServiceRole.TRACKING, client, {}, within=30, sleep=lambda _: None, clock=lambda: next(clock))
    message = str(raised.value)
    assert "'crypto-kek-passphrase'" in message
    assert shared.plane.vault_url in message
    assert BY_ROLE["registry"].client_id in message
    assert "Key Vault Secrets User" in message


def test_only_a_vault_of_this_machine_may_ask_for_azures_tokens(
    shared: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(shared, "registry", monkeypatch)
    asked = []
    monkeypatch.setattr(secrets, "SecretClient", lambda url, _, **options: asked.append((url, options)))
    for url in ("https://127.0.0.1:8443", "https://name.vault.azure.net"):
        secrets.client(url)
    assert [options["verify_challenge_resource"] for _, options in asked] == [False, True]
