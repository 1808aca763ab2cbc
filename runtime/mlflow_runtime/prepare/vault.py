"""The secrets that prepare makes in Key Vault where they are missing. No value is ever logged or put in an error."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.keyvault.secrets import SecretClient
from cryptography.fernet import Fernet

from mlflow_runtime.azure import certificates, refusals
from mlflow_runtime.azure.secrets import CRYPTO_KEK, WEBHOOK_KEY
from mlflow_runtime.deadline import Deadline
from mlflow_runtime.prepare.errors import PrepareError
from mlflow_runtime.prepare.settings import Certificate
from mlflow_runtime.reasons import first_line

MANAGED_BY = "mlflow-platform"


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret of the platform: its name in the vault, its content type, how to make one, and whether a value fits."""

    name: str
    content_type: str
    make: Callable[[], str]
    fits: Callable[[str], bool]


class Outcome(StrEnum):
    """What was done about one secret."""

    KEPT = "kept"
    CREATED = "created"
    RECOVERED = "recovered"


def _is_fernet_key(value: str) -> bool:
    try:
        Fernet(value)
    except ValueError:
        return False
    return True


SECRETS: Sequence[Secret] = (
    Secret(
        name=WEBHOOK_KEY,
        content_type="fernet-key",
        make=lambda: Fernet.generate_key().decode("ascii"),
        fits=_is_fernet_key,
    ),
    Secret(
        name=CRYPTO_KEK,
        content_type="passphrase",
        make=lambda: secrets.token_urlsafe(48),
        fits=lambda value: len(value) >= 32,
    ),
)


def _is_certificate(value: str) -> bool:
    try:
        certificates.read(value)
    except ValueError:
        return False
    return True


def _secret_of(certificate: Certificate) -> Secret:
    """Of any host, and expired or not: the gateway says what is wrong with one that is there."""
    return Secret(
        name=certificate.secret,
        content_type=certificates.CONTENT_TYPE,
        make=partial(certificates.self_signed, certificate.host),
        fits=_is_certificate,
    )


def ensure(
    client: SecretClient,
    certificate: Certificate | None = None,
    *,
    within: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Outcome]:
    """Make each secret that is missing and recover one that is soft-deleted; overwrite none.

    An existing value stays, since data is encrypted with it. The gateway's `certificate`, if there has to be one, is
    self-signed: clients trust whatever somebody imports in its place. A disabled secret, one that does not fit its
    purpose, and a vault that does not answer or refuses this identity for `within` seconds are PrepareErrors.
    """
    deadline = Deadline(within, sleep=sleep, clock=clock)
    wanted = [*SECRETS, *([_secret_of(certificate)] if certificate else [])]
    return {secret.name: _patiently(client, secret, deadline) for secret in wanted}


def _patiently(client: SecretClient, secret: Secret, deadline: Deadline) -> Outcome:
    """A role assignment on a vault takes minutes to be in effect, and so may its private name: both are waited for."""
    try:
        return deadline.attempt(lambda: _ensure_one(client, secret), retried=(AzureError,), what="Key Vault")
    except AzureError as error:
        refusals.log_if_refused(f"Key Vault does not serve secret {secret.name!r}", error)
        raise PrepareError(
            f"Key Vault {client.vault_url} did not serve secret {secret.name!r}: {first_line(error)}",
            "check that the vault's address is right and reachable from this job, and that the prepare "
            "identity may get, set and recover secrets (role Key Vault Secrets Officer)",
        ) from error


def _ensure_one(client: SecretClient, secret: Secret) -> Outcome:
    try:
        _check(client, secret)
    except ResourceNotFoundError:
        outcome = _create_or_recover(client, secret)
        _check(client, secret)
        return outcome
    return Outcome.KEPT


def _create_or_recover(client: SecretClient, secret: Secret) -> Outcome:
    try:
        client.set_secret(secret.name, secret.make(), content_type=secret.content_type, tags={"managed-by": MANAGED_BY})
    except ResourceExistsError:
        # The vault refuses a name whose secret is soft-deleted, and what was encrypted with that one is still there.
        client.begin_recover_deleted_secret(secret.name).wait()
        return Outcome.RECOVERED
    return Outcome.CREATED


def _check(client: SecretClient, secret: Secret) -> None:
    try:
        found = client.get_secret(secret.name)
    except HttpResponseError as error:
        if _is_disabled(error):
            raise _disabled(client, secret) from error
        raise
    if found.properties.enabled is False:
        raise _disabled(client, secret)
    if not secret.fits(found.value or ""):
        raise PrepareError(
            f"secret {secret.name!r} in {client.vault_url} is no valid {secret.content_type}",
            "put the right value back (an older version of the secret may have it); nothing was overwritten",
        )


def _is_disabled(error: HttpResponseError) -> bool:
    inner = getattr(error.error, "innererror", None) or {}
    return error.status_code == 403 and inner.get("code") == "SecretDisabled"


def _disabled(client: SecretClient, secret: Secret) -> PrepareError:
    return PrepareError(
        f"secret {secret.name!r} in {client.vault_url} is disabled",
        "enable it again, or enable an older version of it; nothing was overwritten",
    )
