"""Which role of the platform may do what with the data: the one table that every backend grants from."""

from __future__ import annotations

from collections.abc import Mapping

from components.mlflow.roles import Role

# What each service reads at its start; prepare makes what is missing.
SECRETS: Mapping[Role, tuple[str, ...]] = {
    Role.TRACKING: ("webhook-encryption-key", "crypto-kek-passphrase"),
    Role.REGISTRY: ("webhook-encryption-key",),
}
SECRETS_OFFICER = Role.PREPARE
DATABASE_ADMINISTRATOR = Role.PREPARE

BLOB_READERS = (Role.TRACKING, Role.REGISTRY)
BLOB_WRITERS = (Role.ARTIFACTS,)
