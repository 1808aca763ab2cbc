"""A service's settings from its environment, checked whole before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from mlflow_runtime import environment
from mlflow_runtime.addresses import is_host_header
from mlflow_runtime.artifacts.memory import LEAST_MIB
from mlflow_runtime.azure.blob_address import BlobAddress
from mlflow_runtime.database import address as database_address
from mlflow_runtime.environment import Reader, list_of, number
from mlflow_runtime.middleware.access import settings as access_settings
from mlflow_runtime.middleware.access.settings import Access
from mlflow_runtime.routes import WITH_DATABASES, ServiceRole


@dataclass(frozen=True, kw_only=True)
class Databases:
    """Both of MLflow's databases as `postgresql+entra` URLs, and how many connections to each are kept open.

    At work there may be twice as many to each of the two databases. `hot_path` of those that are kept open are not
    MLflow's: they are the hot path's, to the tracking database.
    """

    tracking: URL
    registry: URL
    pool_size: int
    hot_path: int

    @property
    def kept(self) -> int:
        """The connections that one of MLflow's engines keeps open."""
        return self.pool_size - self.hot_path

    @property
    def connections(self) -> int:
        """The most connections that one of MLflow's engines opens."""
        return self.kept + self.pool_size


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """What only artifacts needs.

    `memory_mib` is all that the replica may take: it holds as many blocks of artifacts as have room in it.
    `clients_reach_blob` lets clients send artifacts to the container themselves.
    """

    memory_mib: int
    clients_reach_blob: bool


@dataclass(frozen=True, kw_only=True)
class BodyLimits:
    """How many bytes the longest body has, and all of the memory that the replica may take."""

    longest: int
    memory_mib: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A service. `databases`, `bodies` and `key_vault_url` are None for a service without databases, `artifacts` for
    all others than artifacts.

    `public_hosts` are the Host headers that are served, `public_origins` the web origins that may call besides these
    hosts' own. `grace_seconds` are for a stop: `drain_seconds` of them to send callers away, the rest for the requests
    in flight, of which there are at most `max_in_flight`: it rejects more. `metrics_seconds` lie between two lines
    of metrics in the log. `spool_mib` is all that files in TMPDIR may take. `access` is None without access control.
    """

    role: ServiceRole
    host: str
    port: int
    key_vault_url: str | None
    blob: BlobAddress
    databases: Databases | None
    public_hosts: tuple[str, ...]
    public_origins: tuple[str, ...]
    grace_seconds: int
    drain_seconds: int
    max_in_flight: int
    metrics_seconds: int
    spool_mib: int
    bodies: BodyLimits | None
    artifacts: Artifacts | None
    access: Access | None


def read(role: ServiceRole, env: Mapping[str, str]) -> Settings:
    """Read a service's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    reader = Reader(env)
    with_data = role in WITH_DATABASES
    grace = environment.grace_seconds(reader)
    access = access_settings.read(reader)
    settings = Settings(
        role=role,
        host=environment.host(reader),
        port=environment.port(reader),
        key_vault_url=environment.key_vault_url(reader) if with_data else None,
        blob=reader.get("BLOB_CONTAINER_URL", BlobAddress.parse, secret=True),
        databases=_databases(reader, role) if with_data else None,
        public_hosts=environment.public_hosts(reader),
        public_origins=reader.get("PUBLIC_ORIGINS", list_of(_origin, optional=True)),
        grace_seconds=grace,
        drain_seconds=environment.drain_seconds(reader, grace),
        max_in_flight=reader.get("MAX_IN_FLIGHT", number(1)),
        metrics_seconds=reader.get("METRICS_SECONDS", number(1)),
        spool_mib=reader.get("SPOOL_MIB", number(0)),
        bodies=_bodies(reader) if with_data else None,
        artifacts=_artifacts(reader) if role is ServiceRole.ARTIFACTS else None,
        access=access,
    )
    environment.require_identity(reader)
    _require_spool(reader)
    reader.check(f"The {role} service")
    return settings


def _databases(reader: Reader, role: ServiceRole) -> Databases:
    parse = database_address.parser()
    pool = reader.get("DATABASE_POOL_SIZE", number(1))
    hot = reader.get("HOT_PATH_CONNECTIONS", number(0)) if role is ServiceRole.TRACKING else 0
    databases = Databases(
        tracking=reader.get("TRACKING_DATABASE_URL", parse, secret=True),
        registry=reader.get("REGISTRY_DATABASE_URL", parse, secret=True),
        pool_size=pool,
        # MLflow keeps half at least: it answers all other requests.
        hot_path=min(hot or 0, (pool or 0) // 2),
    )
    reader.distinct("TRACKING_DATABASE_URL", "REGISTRY_DATABASE_URL", database_address.place)
    return databases


def _artifacts(reader: Reader) -> Artifacts:
    return Artifacts(
        memory_mib=reader.get("MEMORY_MIB", number(LEAST_MIB)),
        clients_reach_blob=reader.get("CLIENTS_REACH_BLOB", environment.boolean),
    )


def _bodies(reader: Reader) -> BodyLimits:
    return BodyLimits(
        longest=reader.get("MAX_BODY_MIB", _mebibytes),
        memory_mib=reader.get("MEMORY_MIB", number(1)),
    )


def _require_spool(reader: Reader) -> None:
    """Python would silently use another folder, perhaps one in memory."""
    spool = reader.given("TMPDIR")
    if spool and not (Path(spool).is_dir() and os.access(spool, os.W_OK | os.X_OK)):
        reader.refuse("TMPDIR", f"{spool!r} is no folder that this process may write; mount one, uploads go there.")


def _mebibytes(text: str) -> int:
    return number(1)(text) << 20


def _origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    if scheme not in ("http", "https") or not separator or not is_host_header(host):
        raise ValueError(
            "must be web origins separated by commas, such as https://portal.example.com. Patterns are refused: "
            "every site they match could act with a visitor's rights."
        )
    return text.lower()
