"""Secrets by the real Key Vault client; only what is below its HTTP layer answers in the vault's place."""

from __future__ import annotations

import logging

import pytest
from cryptography.fernet import Fernet

from mlflow_runtime.azure import certificates
from mlflow_runtime.prepare import vault
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.prepare.settings import Certificate
from mlflow_runtime.prepare.vault import Outcome
from tests.support.servers import KeyVault, StoredSecret

WEBHOOK, KEK = "webhook-encryption-key", "crypto-kek-passphrase"


def ensure(key_vault: KeyVault, within: float = 0) -> dict[str, Outcome]:
    return vault.ensure(key_vault.client(), within=within, sleep=lambda _: None)


def test_missing_secrets_are_made_once_with_type_and_tag(key_vault: KeyVault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert ensure(key_vault) == {WEBHOOK: Outcome.CREATED, KEK: Outcome.CREATED}
    webhook, kek = key_vault.secrets[WEBHOOK], key_vault.secrets[KEK]
    assert Fernet(webhook.value).decrypt(Fernet(webhook.value).encrypt(b"text")) == b"text"
    assert len(kek.value) == 64  # 48 bytes in base 64
    assert (webhook.content_type, kek.content_type) == ("fernet-key", "passphrase")
    assert webhook.tags == kek.tags == {"managed-by": "mlflow-platform"}
    assert ensure(key_vault) == {WEBHOOK: Outcome.KEPT, KEK: Outcome.KEPT}
    assert key_vault.writes == [WEBHOOK, KEK]
    assert (key_vault.secrets[WEBHOOK], key_vault.secrets[KEK]) == (webhook, kek)
    assert webhook.value not in caplog.text
    assert kek.value not in caplog.text


def test_a_certificate_of_the_gateway_is_made_for_its_host_and_another_one_stays(key_vault: KeyVault) -> None:
    wanted = Certificate(secret="gateway-tls", host="mlflow-dev.internal")

    def outcome() -> Outcome:
        return vault.ensure(key_vault.client(), wanted, within=0)["gateway-tls"]

    assert outcome() == Outcome.CREATED
    made = key_vault.secrets["gateway-tls"]
    assert made.content_type == "application/x-pem-file"
    assert certificates.read(made.value).names == ("mlflow-dev.internal",)
    other = StoredSecret(certificates.self_signed("mlflow.example.com"))
    key_vault.secrets["gateway-tls"] = other
    assert outcome() == Outcome.KEPT
    assert key_vault.secrets["gateway-tls"] == other
    key_vault.secrets["gateway-tls"] = StoredSecret(made.value.replace("PRIVATE", "PUBLIC"))
    with pytest.raises(PrepareError, match=r"gateway-tls.* is no valid"):
        outcome()


def test_two_vaults_get_different_secrets(key_vault: KeyVault) -> None:
    other = KeyVault()
    ensure(key_vault)
    ensure(other)
    assert key_vault.secrets[WEBHOOK].value != other.secrets[WEBHOOK].value
    assert key_vault.secrets[KEK].value != other.secrets[KEK].value


def test_a_soft_deleted_secret_is_recovered_with_its_value(key_vault: KeyVault) -> None:
    value = Fernet.generate_key().decode()
    key_vault.deleted[WEBHOOK] = StoredSecret(value)
    assert ensure(key_vault)[WEBHOOK] == Outcome.RECOVERED
    assert key_vault.secrets[WEBHOOK].value == value
    assert key_vault.writes == [KEK]


def test_a_disabled_secret_is_an_error_and_stays(key_vault: KeyVault) -> None:
    key_vault.secrets[KEK] = StoredSecret("p" * 64, enabled=False)
    with pytest.raises(PrepareError, match=f"{KEK}.* is disabled") as failure:
        ensure(key_vault, within=3600)
    assert "enable it" in failure.value.remedy
    assert key_vault.secrets[KEK] == StoredSecret("p" * 64, enabled=False)


@pytest.mark.parametrize(("name", "value"), [(WEBHOOK, "no-fernet-key"), (KEK, "short"), (KEK, "")])
def test_a_value_that_does_not_fit_is_an_error_that_does_not_show_it(
    key_vault: KeyVault, name: str, value: str
) -> None:
    key_vault.secrets[name] = StoredSecret(value)
    with pytest.raises(PrepareError, match=f"{name}.* is no valid") as failure:
        ensure(key_vault)
    assert not value or value not in str(failure.value)
    assert key_vault.secrets[name].value == value


def test_a_role_assignment_that_comes_late_is_waited_for(key_vault: KeyVault) -> None:
    key_vault.refusals = 3
    assert ensure(key_vault, within=60) == {WEBHOOK: Outcome.CREATED, KEK: Outcome.CREATED}


@pytest.mark.parametrize("unreachable", [True, False])
def test_a_vault_that_does_not_serve_is_a_clear_error(key_vault: KeyVault, unreachable: bool) -> None:
    key_vault.unreachable, key_vault.refusals = unreachable, 1000
    words = "Name or service not known" if unreachable else "Caller is not authorized"
    with pytest.raises(PrepareError, match=f"https://example.vault.azure.net did not serve.*{words}") as failure:
        ensure(key_vault)
    assert "Key Vault Secrets Officer" in failure.value.remedy
