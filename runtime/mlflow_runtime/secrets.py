"""The secrets of a service: from Key Vault, with the managed identity, into the place where MLflow looks for them.

MLflow reads them from `os.environ`. They are put there by this process after it started, so they are in no
specification and not in the environment that the system shows for the process.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.keyvault.secrets import SecretClient

from mlflow_runtime import identity
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.settings import LOOPBACK

# Role -> name in the vault -> variable of MLflow 3.17.2 (environment_variables.py, utils/crypto.py).
SECRETS: Final[Mapping[ServiceRole, Mapping[str, str]]] = {
    ServiceRole.TRACKING: {
        "webhook-encryption-key": "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
        "crypto-kek-passphrase": "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    },
    ServiceRole.REGISTRY: {"webhook-encryption-key": "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"},
    ServiceRole.ARTIFACTS: {},
}

# Below the two minutes that a service has for its start.
WAIT_SECONDS: Final = 90.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0

_log = logging.getLogger(__name__)


class SecretsError(Exception):
    """A secret could not be read. The message names the secret, the vault and the identity, never a value."""


def client(vault_url: str) -> SecretClient:
    """A client of the vault that signs in with this process's identity."""
    return SecretClient(
        vault_url,
        identity.current(),
        # The stand-in of the local stack has an address of this machine, and asks for Azure's tokens all the same.
        verify_challenge_resource=urlsplit(vault_url).hostname not in LOOPBACK,
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
    deadline = clock() + within
    for name, variable in SECRETS[role].items():
        pause = _FIRST_PAUSE
        while True:
            try:
                into[variable] = _value(vault, name)
                break
            except (AzureError, SecretsError) as error:
                remaining = deadline - clock()
                if remaining <= 0:
                    raise SecretsError(
                        f"Secret {name!r} could not be read from {vault.vault_url} in {within:g} s: {_reason(error)} "
                        f"Check that prepare has made it, that this network reaches the vault, and that identity "
                        f"{identity.current().client_id} has role Key Vault Secrets User on it."
                    ) from error
                _log.info("waiting for secret %s, %.0f s left: %s", name, remaining, _reason(error))
                sleep(min(pause, remaining))
                pause = min(pause * 2, _LONGEST_PAUSE)


def _value(vault: SecretClient, name: str) -> str:
    value = vault.get_secret(name).value
    if not value:
        raise SecretsError(f"The secret {name!r} is empty.")
    return value


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
