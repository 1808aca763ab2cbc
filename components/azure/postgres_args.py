"""What a PostgreSQL server can be made of, and what is refused. No resource is made here."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pulumi
from pulumi_azure_native import dbforpostgresql

from components.azure.postgres_size import HighAvailability, ServerSize, Tier

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        # Azure's own defaults, set so that a change by hand is found as drift. Azure ignores a value that is its
        # default, so an `up` does not undo that change: the runbook has the command.
        "require_secure_transport": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        # Checkpoints that come too often say that the disk is the limit.
        "log_checkpoints": "on",
        # Who changed a schema or a right, and how: the audit log, which keeps what statement logging is refused for
        # below out of it. It is loaded by the first restart of the server; Azure's own libraries stay loaded beside it.
        "azure.extensions": "pgaudit",
        "shared_preload_libraries": "pg_cron,pg_stat_statements,pgaudit",
        "pgaudit.log": "ddl,role",
        # Milliseconds. A replica that hangs inside a transaction holds row locks, and a migration waits for those.
        "idle_in_transaction_session_timeout": "300000",
        # Seconds. Replicas vanish without a word (scale-in, a lost node): their connections are back in two minutes.
        "tcp_keepalives_idle": "60",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "6",
        # Shows which session waited for which when runs are logged in parallel or a migration stands still.
        "log_lock_waits": "on",
        # Every logged metric updates its row of latest_metrics: by default a fifth of the table may be dead rows.
        "autovacuum_vacuum_scale_factor": "0.05",
        # A sweep makes a small experiment large within an hour, and plans from old statistics scan all of metrics.
        "autovacuum_analyze_scale_factor": "0.05",
    }
)
"""Server parameters of every server, each with its reason. max_connections is left to follow the SKU, and
statement_timeout to each session: a migration may take long, and so may a search; a probe and a statement of the hot
path may not, and their sessions bring their own. Statements on data are not logged: the driver writes values into them,
so the logs would hold users' parameters and tags. log_connections and log_disconnections are always on and read-only on
Azure, which refuses to set them."""

_SECURE = {"require_secure_transport": ("on",), "ssl_min_protocol_version": ("TLSv1.2", "TLSv1.3")}
_READ_ONLY = ("log_connections", "log_disconnections")
_SERVER_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
_PARAMETER = re.compile(r"[a-z0-9_.]+\Z")
_TIERS = {
    Tier.BURSTABLE: dbforpostgresql.SkuTier.BURSTABLE,
    Tier.GENERAL_PURPOSE: dbforpostgresql.SkuTier.GENERAL_PURPOSE,
    Tier.MEMORY_OPTIMIZED: dbforpostgresql.SkuTier.MEMORY_OPTIMIZED,
}
_ZONES = ("1", "2", "3")
_OLDEST_VERSION = 15


class Weekday(enum.IntEnum):
    """A day as Azure counts them."""

    SUNDAY = 0
    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6


@dataclass(frozen=True, kw_only=True)
class MaintenanceWindow:
    """The hour of the week in which Azure may patch and restart the server, in UTC."""

    day: Weekday = Weekday.SUNDAY
    hour: int = 2
    minute: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.hour <= 23 and 0 <= self.minute <= 59):
            raise ValueError(
                f"MaintenanceWindow: {self.hour}:{self.minute:02}; hour is 0 to 23 and minute 0 to 59. Give UTC."
            )


@dataclass(frozen=True, kw_only=True)
class EntraAdministrator:
    """The managed identity that administers the server. `name` is its name, and becomes that of its database role."""

    name: pulumi.Input[str]
    object_id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """What makes a server.

    `size` says how large and how safe the server is. With `auto_grow` its storage grows by itself from there, and the
    size in the program is not looked at again. `zone` and `standby_zone` say where the server starts; Azure chooses
    without.
    `parameters` adds to, or overrides, `PARAMETERS`. `after` is what must exist first though no value leads to it: the
    link of the private DNS zone to the network. `workspace_id` is where logs and metrics go. Plain values decide on
    resources. Raises ValueError with every problem at once.
    """

    server_name: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    location: pulumi.Input[str]
    tags: Mapping[str, str]
    tenant_id: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    private_dns_zone_id: pulumi.Input[str]
    administrator: EntraAdministrator
    workspace_id: pulumi.Input[str]
    protect: bool
    size: ServerSize = field(default_factory=ServerSize)
    version: dbforpostgresql.PostgresMajorVersion = dbforpostgresql.PostgresMajorVersion.POSTGRES_MAJOR_VERSION_18
    auto_grow: bool = True
    zone: str | None = None
    standby_zone: str | None = None
    maintenance: MaintenanceWindow = field(default_factory=MaintenanceWindow)
    parameters: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        if problems := [*self._names(), *self._version(), *self._zones(), *self._parameters()]:
            raise ValueError("\n".join(f"PostgresArgs.{problem}" for problem in problems))

    @property
    def tier(self) -> dbforpostgresql.SkuTier:
        """The tier that the SKU belongs to; Azure refuses any other beside it."""
        return _TIERS[self.size.tier]

    def _names(self) -> Iterator[str]:
        if isinstance(self.server_name, str) and not _SERVER_NAME.match(self.server_name):
            yield (
                f"server_name: {self.server_name!r}; Azure takes 3 to 63 lower-case letters, digits and single "
                "hyphens, no hyphen first or last. Choose such a name."
            )

    def _version(self) -> Iterator[str]:
        if int(self.version.value) < _OLDEST_VERSION:
            yield (
                f"version: {self.version.value}; at least {_OLDEST_VERSION} is needed, since before it every role "
                f"could create tables in the public schema. Choose {_OLDEST_VERSION} or newer."
            )

    def _zones(self) -> Iterator[str]:
        for name in ("zone", "standby_zone"):
            value = getattr(self, name)
            if value is not None and value not in _ZONES:
                yield f"{name}: {value!r}; zones are {', '.join(_ZONES)}. Choose one, or None to let Azure choose."
        if self.standby_zone is None:
            return
        if self.size.high_availability is not HighAvailability.ZONE_REDUNDANT:
            yield (
                f"standby_zone: {self.standby_zone!r} with high_availability {self.size.high_availability.value!r}; "
                "only a zone-redundant standby has a zone of its own. Leave it out, or choose 'zone-redundant'."
            )
        if self.standby_zone == self.zone:
            yield f"standby_zone: {self.standby_zone!r} is the server's own zone. Choose another one."

    def _parameters(self) -> Iterator[str]:
        for name, value in self.parameters.items():
            if not _PARAMETER.match(name):
                yield f"parameters: {name!r}; names have lower-case letters, digits, '_' and '.'. Correct it."
            elif name in _SECURE and value not in _SECURE[name]:
                yield f"parameters: {name}={value!r}; only {' or '.join(_SECURE[name])} is secure. Leave it out."
            elif name in _READ_ONLY:
                yield f"parameters: {name}={value!r}; it is always on and read-only on Azure. Leave it out."
            elif name.startswith("pgbouncer."):
                yield f"parameters: {name}={value!r}; PgBouncer is not used, for the reasons in Postgres. Leave it out."
