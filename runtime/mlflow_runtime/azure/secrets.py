"""The secrets of a service: from Key Vault, with the managed identity, into the place where MLflow looks for them.

MLflow reads them from `os.environ`. They are put there by this process after it started, so they are in no
specification and not in the environment that the system shows for the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.keyvault.secrets import SecretClient

from mlflow_runtime.addresses import is_loopback
from mlflow_runtime.azure import identity, refusals
from mlflow_runtime.deadline import Deadline
from mlflow_runtime.reasons import first_line
from mlflow_runtime.routes import ServiceRole

# Their names in the vault. prepare makes them.
WEBHOOK_KEY: Final = "webhook-encryption-key"
CRYPTO_KEK: Final = "crypto-kek-passphrase"

# Role -> name in the vault -> variable of MLflow 3.17.2 (environment_variables.py, utils/crypto.py).
SECRETS: Final[Mapping[ServiceRole, Mapping[str, str]]] = {
    ServiceRole.TRACKING: {
        WEBHOOK_KEY: "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
        CRYPTO_KEK: "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    },
    ServiceRole.REGISTRY: {WEBHOOK_KEY: "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"},
}

# Below the two minutes that a service has for its start.
WAIT_SECONDS: Final = 90.0


class SecretsError(Exception):
    """A secret could not be read. The message names the secret, the vault and the identity, never a value."""


def client(vault_url: str) -> SecretClient:
    """A client of the vault that signs in with this process's identity."""
    return SecretClient(
        vault_url,
        identity.current(),
        # The stand-in of the local stack has an address of this machine, and asks for Azure's tokens all the same.
        verify_challenge_resource=not is_loopback(urlsplit(vault_url).hostname or ""),
        connection_timeout=5,
        read_timeout=10,
        retry_total=1,
    )


def load(
    role: ServiceRole,
    vault: SecretClient,
    into: MutableMapping[str, str] = os.environ,
    *,
    within: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Read the role's secrets. Raises SecretsError when one cannot be read for `within` seconds.

    Every failure is retried until then: a role assignment on a vault takes minutes to be in effect, and the vault may
    start after this process.
    """
    deadline = Deadline(within, sleep=sleep, clock=clock)
    for name, variable in SECRETS.get(role, {}).items():
        try:
            into[variable] = deadline.attempt(
                partial(_value, vault, name), retried=(AzureError, SecretsError), what=f"secret {name}"
            )
        except (AzureError, SecretsError) as error:
            if isinstance(error, AzureError):
                refusals.log_if_refused(f"Key Vault does not serve secret {name!r}", error)
            raise SecretsError(
                f"Secret {name!r} could not be read from {vault.vault_url} in {within:g} s: {first_line(error)} "
                f"Check that prepare has made it, that this network reaches the vault, and that identity "
                f"{identity.current().client_id} has role Key Vault Secrets User on it."
            ) from error


def _value(vault: SecretClient, name: str) -> str:
    value = vault.get_secret(name).value
    if not value:
        raise SecretsError(f"The secret {name!r} is empty.")
    return value
