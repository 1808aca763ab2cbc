"""What decides on the Azure resources of a stack."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.azure.artifact_store import Lifecycle, Redundancy
from components.azure.network_plan import DEFAULT_PREFIXES, SubnetRole
from components.azure.postgres_size import HighAvailability, ServerSize

SUBNETS: Mapping[SubnetRole, int] = {
    role: DEFAULT_PREFIXES[role]
    for role in (SubnetRole.POSTGRES, SubnetRole.PRIVATE_ENDPOINTS, SubnetRole.CONTAINER_APPS)
}


class DataClassification(enum.StrEnum):
    """How bad it is if somebody else reads the data."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class Exposure(enum.StrEnum):
    """From where the gateway can be called: the virtual network and its peers, or the internet."""

    INTERNAL = "internal"
    PUBLIC = "public"


class AccessControl(enum.StrEnum):
    """Who is let in at the gateway. So far only: everybody who reaches it."""

    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class TagSettings:
    """Whose a resource is and what it may hold. `extra` are more tags, as they are."""

    owner: str
    cost_center: str
    data_classification: DataClassification
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The image in the stack's own registry. Without a digest there is none yet, and no service is made."""

    repository: str
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network's range, who may call the gateway in it, and how services get out."""

    cidr: str
    client_ranges: tuple[str, ...] = ()
    fixed_outbound_address: bool = False
    internet_outbound: bool = False


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """Size and safety of the PostgreSQL server."""

    sku: str
    storage_gib: int = 32
    backup_days: int = 7
    high_availability: HighAvailability = HighAvailability.NONE
    geo_backup: bool = False

    @property
    def size(self) -> ServerSize:
        """What the component takes. Raises ValueError for a size that Azure does not have."""
        return ServerSize(
            sku=self.sku,
            storage_gib=self.storage_gib,
            backup_days=self.backup_days,
            high_availability=self.high_availability,
            geo_backup=self.geo_backup,
        )


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Copies of the artifacts, what becomes of old ones, and whether clients may send large ones to the account
    themselves, which they must be able to reach."""

    redundancy: Redundancy
    soft_delete_days: int = 14
    clients_reach_blob: bool = False
    lifecycle: Lifecycle = field(default_factory=Lifecycle)


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """How long logs are kept, who is told, and what a month may cost. `budget_start` is a first of a month."""

    retention_days: int = 30
    emails: tuple[str, ...] = ()
    monthly_budget: int | None = None
    budget_start: str = ""


@dataclass(frozen=True, kw_only=True)
class GithubSettings:
    """The repository whose workflows deploy, and the environments in which they run."""

    repository: str
    deploy_environment: str
    preview_environment: str


@dataclass(frozen=True, kw_only=True)
class AzureProfile:
    """The Azure part of a profile: what a stack has unless its file says otherwise."""

    network: NetworkSettings
    database: DatabaseSettings
    storage: StorageSettings
    log_retention_days: int
    protect: bool
    purge_protection: bool
    zone_redundant: bool
    private_registry: bool


@dataclass(frozen=True, kw_only=True)
class AzureSettings:
    """Everything about a stack's Azure resources.

    `protect`: locks and deletion protection on data. `purge_protection`: of the vault, which Azure never takes back.
    """

    location: str
    tags: TagSettings
    image: ImageSettings
    exposure: Exposure
    access: AccessControl
    network: NetworkSettings
    database: DatabaseSettings
    storage: StorageSettings
    monitoring: MonitoringSettings
    github: GithubSettings | None
    protect: bool
    purge_protection: bool
    zone_redundant: bool
    private_registry: bool
    name_generation: str
