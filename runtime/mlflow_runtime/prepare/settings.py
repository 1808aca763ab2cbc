"""The settings of the prepare role from its environment, checked whole before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import URL

from mlflow_runtime import environment
from mlflow_runtime.addresses import is_host
from mlflow_runtime.database import address as database_address
from mlflow_runtime.environment import Reader, is_guid, number
from mlflow_runtime.middleware.access import settings as access

DEFAULT_WAIT_SECONDS = 600
_RESERVED_DATABASES = frozenset({"postgres", "template0", "template1", "azure_maintenance", "azure_sys"})
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ROLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A managed identity that gets a database role: `name` is the role, `object_id` its id in Entra."""

    name: str
    object_id: str


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of the gateway that prepare makes where there is none: the secret's name, and the host's."""

    secret: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Inputs of one prepare run.

    `admin_url` points at database `postgres` as the prepare identity and holds no password. `wait_seconds` bounds, each
    on its own, the wait for the database, for Key Vault and for another prepare that is at work. `teams` are the
    workspaces beside `default`.
    """

    admin_url: URL
    tracking_database: str
    registry_database: str
    tracking: Principal
    registry: Principal
    key_vault_url: str
    wait_seconds: float = DEFAULT_WAIT_SECONDS
    certificate: Certificate | None = None
    teams: tuple[str, ...] = ()


def read(env: Mapping[str, str]) -> Settings:
    """Read prepare's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    reader = Reader(env)
    settings = Settings(
        admin_url=reader.get("DATABASE_ADMIN_URL", database_address.parser("postgres"), secret=True),
        tracking_database=reader.get("TRACKING_DATABASE", _database),
        registry_database=reader.get("REGISTRY_DATABASE", _database),
        tracking=reader.get("TRACKING_PRINCIPAL", _principal),
        registry=reader.get("REGISTRY_PRINCIPAL", _principal),
        key_vault_url=environment.key_vault_url(reader),
        wait_seconds=reader.get("PREPARE_WAIT_SECONDS", number(1, 3600), str(DEFAULT_WAIT_SECONDS)),
        certificate=_certificate(reader),
        teams=access.teams(reader),
    )
    reader.distinct("TRACKING_DATABASE", "REGISTRY_DATABASE")
    reader.distinct("TRACKING_PRINCIPAL", "REGISTRY_PRINCIPAL", attrgetter("name"))
    environment.require_identity(reader)
    reader.check("The prepare job")
    return settings


def _certificate(reader: Reader) -> Certificate | None:
    if not reader.given("TLS_CERTIFICATE") and not reader.given("TLS_HOST"):
        return None
    return Certificate(
        secret=reader.get("TLS_CERTIFICATE", environment.secret_name), host=reader.get("TLS_HOST", _host)
    )


def _host(text: str) -> str:
    if not is_host(text):
        raise ValueError("must be the gateway's host name, such as mlflow.example.com.")
    return text.lower()


def _database(text: str) -> str:
    if not _DATABASE_NAME.fullmatch(text) or text in _RESERVED_DATABASES:
        own = ", ".join(sorted(_RESERVED_DATABASES))
        raise ValueError(f"must match {_DATABASE_NAME.pattern} and be none of the server's own ({own}).")
    return text


def _principal(text: str) -> Principal:
    role, _, object_id = text.rpartition(":")
    if not (_ROLE_NAME.fullmatch(role) and is_guid(object_id)):
        raise ValueError(
            "must be NAME:OBJECT_ID of a managed identity, such as "
            "mlflow-tracking:00000000-0000-0000-0000-000000000000."
        )
    return Principal(name=role, object_id=object_id.lower())
