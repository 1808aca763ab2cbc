"""What the prepare role reads from its environment, checked whole before anything is touched."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DEFAULT_WAIT_SECONDS = 600
_WAIT_LIMITS = (1, 3600)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_RESERVED_DATABASES = frozenset({"postgres", "template0", "template1", "azure_maintenance", "azure_sys"})
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ROLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


class SettingsError(ValueError):
    """Every problem of the environment in one message, one a line."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A managed identity that gets a database role: `name` is the role, `object_id` its id in Entra."""

    name: str
    object_id: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Inputs of one prepare run.

    `admin_url` points at database `postgres` as the prepare identity and holds no password. `wait_seconds` bounds, each
    on its own, the wait for the database, for Key Vault and for another prepare that is at work.
    """

    admin_url: URL
    tracking_database: str
    registry_database: str
    tracking: Principal
    registry: Principal
    key_vault_url: str
    wait_seconds: float = DEFAULT_WAIT_SECONDS


def read(env: Mapping[str, str]) -> Settings:
    """Reads the settings of the prepare role; raises SettingsError that lists all problems at once."""
    reader = _Reader(env)
    settings = Settings(
        admin_url=reader.admin_url("DATABASE_ADMIN_URL"),
        tracking_database=reader.database("TRACKING_DATABASE", "tracking"),
        registry_database=reader.database("REGISTRY_DATABASE", "registry"),
        tracking=reader.principal("TRACKING_PRINCIPAL"),
        registry=reader.principal("REGISTRY_PRINCIPAL"),
        key_vault_url=reader.https_url("KEY_VAULT_URL"),
        wait_seconds=reader.seconds("PREPARE_WAIT_SECONDS", DEFAULT_WAIT_SECONDS),
    )
    reader.refuse_equal(
        "TRACKING_DATABASE", "REGISTRY_DATABASE", settings.tracking_database, settings.registry_database
    )
    reader.refuse_equal("TRACKING_PRINCIPAL", "REGISTRY_PRINCIPAL", settings.tracking.name, settings.registry.name)
    if reader.problems:
        raise SettingsError("prepare cannot start:\n" + "\n".join(f"- {problem}" for problem in reader.problems))
    return settings


class _Reader:
    """Parses one variable at a time and collects the problems; its values mean nothing once there is a problem."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def _required(self, name: str, form: str) -> str:
        value = self._env.get(name, "").strip()
        if not value:
            self.problems.append(f"{name} is missing; set it to {form}")
        return value

    def admin_url(self, name: str) -> URL:
        form = "postgresql+entra://ROLE@HOST:PORT/postgres?sslmode=verify-full"
        fallback = URL.create("postgresql+entra")
        value = self._required(name, form)
        if not value:
            return fallback
        try:
            url = make_url(value)
        except (ArgumentError, ValueError):
            # The value is not repeated: what cannot be parsed may hold a password.
            self.problems.append(f"{name} is not a database URL; set it to {form}")
            return fallback
        self.problems += [f"{name} {problem}" for problem in _admin_url_problems(url, form)]
        return url

    def database(self, name: str, default: str) -> str:
        value = self._env.get(name, "").strip() or default
        if not _DATABASE_NAME.fullmatch(value) or value in _RESERVED_DATABASES:
            self.problems.append(
                f"{name} is {value!r}; it must match {_DATABASE_NAME.pattern} and be none of the server's own "
                f"({', '.join(sorted(_RESERVED_DATABASES))}); leave it out for {default!r}"
            )
        return value

    def principal(self, name: str) -> Principal:
        form = "NAME:OBJECT_ID of a managed identity, such as mlflow-tracking:00000000-0000-0000-0000-000000000000"
        value = self._required(name, form)
        role, _, object_id = value.rpartition(":")
        if value and not (_ROLE_NAME.fullmatch(role) and _is_guid(object_id)):
            self.problems.append(f"{name} is {value!r}; set it to {form}")
        return Principal(name=role, object_id=object_id.lower())

    def https_url(self, name: str) -> str:
        form = "the vault's address, https://NAME.vault.azure.net"
        value = self._required(name, form)
        parts = urlsplit(value)
        if value and (parts.scheme != "https" or not parts.hostname or parts.username):
            self.problems.append(f"{name} must be an https address without credentials; set it to {form}")
        return value

    def seconds(self, name: str, default: int) -> float:
        value = self._env.get(name, "").strip() or str(default)
        low, high = _WAIT_LIMITS
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            self.problems.append(f"{name} is {value!r}; give whole seconds from {low} to {high}, or leave it out")
            return default
        return int(value)

    def refuse_equal(self, first: str, second: str, one: str, other: str) -> None:
        if one and one == other:
            self.problems.append(f"{first} and {second} both name {one!r}; give each its own")


def _admin_url_problems(url: URL, form: str) -> list[str]:
    problems = []
    if url.drivername != "postgresql+entra":
        problems.append(f"uses {url.drivername!r}; only postgresql+entra is allowed, as in {form}")
    if url.password is not None:
        problems.append("holds a password; leave it out, the identity's token is used")
    if not url.username or not url.host:
        problems.append(f"lacks the role or the host; set it to {form}")
    if url.database != "postgres":
        problems.append(f"names database {url.database!r}; it must be 'postgres', where roles are made")
    if url.host and url.host not in _LOOPBACK and url.query.get("sslmode") != "verify-full":
        problems.append("must say sslmode=verify-full for a host that is not this machine")
    return problems


def _is_guid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
