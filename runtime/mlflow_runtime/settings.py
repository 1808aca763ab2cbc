"""What a service is told by its environment, checked whole before anything starts."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mlflow_runtime.blob_address import BlobAddress
from mlflow_runtime.routes import ServiceRole

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
DRIVER: Final = "postgresql+entra"

_DATABASE_FORM = "postgresql+entra://ROLE@HOST:PORT/DATABASE?sslmode=verify-full"
_PLATFORM_IDENTITIES = (("IDENTITY_ENDPOINT", "IDENTITY_HEADER"), ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"))
_HOST_HEADER = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class SettingsError(ValueError):
    """The environment does not describe a service. The message names every variable that is wrong, one a line."""


@dataclass(frozen=True, kw_only=True)
class Databases:
    """Both of MLflow's databases as `postgresql+entra` URLs, and how many connections to each are kept open.

    At work there may be twice as many, `connections`, to each of the two databases.
    """

    tracking: URL
    registry: URL
    pool_size: int

    @property
    def connections(self) -> int:
        """The most connections that one of MLflow's engines opens."""
        return 2 * self.pool_size


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A service. `databases` and `key_vault_url` are None for artifacts, which needs neither.

    `public_hosts` are the Host headers that are served, `public_origins` the web origins that may call besides these
    hosts' own. `grace_seconds` are for the requests in flight at a stop.
    """

    role: ServiceRole
    host: str
    port: int
    client_id: str
    key_vault_url: str | None
    blob: BlobAddress
    databases: Databases | None
    public_hosts: tuple[str, ...]
    public_origins: tuple[str, ...]
    grace_seconds: int


def read(role: ServiceRole, env: Mapping[str, str]) -> Settings:
    """Read a service's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    reader = _Reader(env)
    with_data = role is not ServiceRole.ARTIFACTS
    settings = Settings(
        role=role,
        host=reader.get("HOST", _listen_host, "0.0.0.0"),  # noqa: S104 - a container listens on all its addresses
        port=reader.get("PORT", _number(1, 65535)),
        client_id=reader.get("AZURE_CLIENT_ID", _guid),
        key_vault_url=reader.get("KEY_VAULT_URL", _vault_url) if with_data else None,
        blob=reader.get("BLOB_CONTAINER_URL", BlobAddress.parse, secret=True),
        databases=_databases(reader) if with_data else None,
        public_hosts=reader.get("PUBLIC_HOSTS", _list_of(_host_header)),
        public_origins=reader.get("PUBLIC_ORIGINS", _list_of(_origin), ""),
        grace_seconds=reader.get("GRACE_SECONDS", _number(3, 3600), "30"),
    )
    reader.problems += [*_identity_problems(env), *_spool_problems(env)]
    if reader.problems:
        raise SettingsError("\n".join([f"The {role} service cannot start with these settings:", *reader.problems]))
    return settings


class _Reader:
    """Parses one variable at a time and collects the problems; its values mean nothing once there is a problem."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def get(self, name: str, parse: Callable[[str], Any], default: str | None = None, *, secret: bool = False) -> Any:
        """The parsed value. `secret` keeps the value out of the message: a URL may hold a password or a signature."""
        given = self._env.get(name, "").strip()
        if not given and default is None:
            self.problems.append(f"{name}: is not set; {_complaint(parse)}")
            return None
        if not given and not default:
            return ()
        try:
            return parse(given or str(default))
        except ValueError as error:
            self.problems.append(f"{name}: {'its value' if secret else repr(given)} {error}")
            return None


def _complaint(parse: Callable[[str], Any]) -> str:
    """What a parser says about nothing at all, which is what it wants."""
    try:
        parse("")
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{parse} takes an empty value")


def _databases(reader: _Reader) -> Databases:
    databases = Databases(
        tracking=reader.get("TRACKING_DATABASE_URL", _database_url, secret=True),
        registry=reader.get("REGISTRY_DATABASE_URL", _database_url, secret=True),
        pool_size=reader.get("DATABASE_POOL_SIZE", _number(2, 200), "20"),
    )
    if databases.tracking is not None and databases.tracking == databases.registry:
        reader.problems.append(
            "REGISTRY_DATABASE_URL: names the same database as TRACKING_DATABASE_URL; give each its own."
        )
    return databases


def _identity_problems(env: Mapping[str, str]) -> list[str]:
    """Without an endpoint the credential would look for a virtual machine's, for minutes."""
    if any(all(env.get(name) for name in names) for names in _PLATFORM_IDENTITIES):
        return []
    endpoint, workload = (" and ".join(names) for names in _PLATFORM_IDENTITIES)
    return [
        f"{endpoint}: not both are set; the platform sets them for a process with a managed identity ({workload} for "
        "one with a workload identity). Give this process its identity."
    ]


def _spool_problems(env: Mapping[str, str]) -> list[str]:
    """Python would silently use another folder, perhaps one in memory."""
    spool = env.get("TMPDIR")
    if not spool or (Path(spool).is_dir() and os.access(spool, os.W_OK | os.X_OK)):
        return []
    return [f"TMPDIR: {spool!r} is no folder that this process may write; mount one, uploads are spooled there."]


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}.")
        return int(text)

    return parse


def _listen_host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", text):
        raise ValueError("must be a host name or an IP address to listen on, such as 127.0.0.1.")
    return text


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be the client id (a GUID) of this service's managed identity.") from None


def _vault_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.path not in ("", "/"):
        raise ValueError("must be the vault's address, such as https://NAME.vault.azure.net.")
    return text


def _database_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"must be {_DATABASE_FORM}.") from None
    if url.drivername != DRIVER:
        raise ValueError(f"uses {url.drivername!r}; it must be {_DATABASE_FORM}.")
    if url.password is not None or "password" in url.query:
        raise ValueError("holds a password; leave it out, the identity's token is used.")
    if not (url.username and url.host and url.database):
        raise ValueError(f"lacks the role, the host or the database; it must be {_DATABASE_FORM}.")
    if url.host not in LOOPBACK and url.query.get("sslmode") != "verify-full":
        raise ValueError("must say sslmode=verify-full for a host that is not this machine.")
    return url


def _host_header(text: str) -> str:
    if not _HOST_HEADER.fullmatch(text):
        raise ValueError(
            "must be Host header values separated by commas, with their port where it is not the scheme's own, such as "
            "mlflow.example.com,localhost:5500. Patterns are refused: they would let foreign names in."
        )
    return text.lower()


def _origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    if scheme not in ("http", "https") or not separator or not _HOST_HEADER.fullmatch(host):
        raise ValueError(
            "must be web origins separated by commas, such as https://portal.example.com. Patterns are refused: "
            "every site they match could act with a visitor's rights."
        )
    return text.lower()


def _list_of(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse_all(text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse(item.strip()) for item in text.split(",")))

    return parse_all
