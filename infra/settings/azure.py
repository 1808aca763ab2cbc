"""What decides on the Azure resources of a stack. Each field is one setting of the stack's file."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from components.azure.artifact_store_args import Lifecycle, Redundancy
from components.azure.image_source import ImageSource
from components.azure.network_plan import CONTAINER_APPS_SUBNETS, plan
from components.azure.postgres_size import (
    BACKUP_DAYS,
    STORAGE_GIB,
    HighAvailability,
    ServerSize,
)
from components.mlflow.limits import LIMITS, Limits
from infra.settings.aks import AksSettings, Ipv4Range
from infra.settings.fields import Section, Switch, Whole, bounded, checked, described, text

_NO_IMAGE = "none"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST_WORDS = "sha256: and 64 hexadecimal digits, no tag; or none for the first `up`, before there is an image"
_SOURCE_WORDS = (
    "an id as in /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ContainerRegistry/registries/NAME, or "
    "HOST/REPOSITORY without a tag, as in ghcr.io/example/mlflow-platform"
)
_WORD = r"[^\s<>%&\\?/][^<>%&\\?/]{0,254}"
_WORD_WORDS = "1 to 255 characters without <>%&\\?/"
_NETWORK_ID = (
    r"/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/[^/\s]{1,90}"
    r"/providers/Microsoft\.Network/virtualNetworks/[^/\s]{2,64}"
)
_METRICS = LIMITS["metrics_seconds"]

TagName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 ._:-]{0,127}$")]
TagValue = Annotated[str, Field(pattern=f"^{_WORD}$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
NetworkId = Annotated[str, Field(pattern=f"^{_NETWORK_ID}$")]


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


class TagSettings(Section):
    """Who owns the resources, who pays for them, and what they may contain: tags of every resource."""

    owner: str = text("The team that owns the stack, or its address", _WORD, _WORD_WORDS, example="my-team")
    cost_center: str = text("Who pays", _WORD, _WORD_WORDS, example="research")
    data_classification: DataClassification = described(
        "How bad it is if somebody else reads the data", example=DataClassification.RESTRICTED
    )
    extra: Mapping[TagName, TagValue] = described(
        "At most 8 more tags, their names and values",
        "names of a letter, then letters, digits, spaces and ._:-; values of " + _WORD_WORDS,
        default={},
    )


def _check_source(value: str) -> None:
    try:
        ImageSource.named(value, "any")
    except ValueError:
        raise ValueError(_SOURCE_WORDS) from None


def _digest(value: object) -> object:
    if value == _NO_IMAGE:
        return None
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value
    raise ValueError(_DIGEST_WORDS)


class ImageSettings(Section):
    """The image in the stack's own registry: its release, which a promotion writes, or its digest alone.

    `digest` is None before there is an image; then no service is created. `commit`, `mlflow`, `schema` and `contract`
    come from the labels of the image: all four, or none of them.
    """

    repository: str = text(
        "Path of the image in the registry",
        r"[a-z0-9]+([._/-][a-z0-9]+)*",
        "a path of lower-case letters and digits, as in mlflow-platform",
        default="mlflow-platform",
    )
    digest: Annotated[str | None, BeforeValidator(_digest)] = described(
        "Digest of the image, never a tag. `none` before there is an image: then no service is created",
        _DIGEST_WORDS,
        example=_NO_IMAGE,
    )
    source: Annotated[str | None, checked(_check_source)] = described(
        "From where an `up` imports the image: a registry of the tenant by its id, or a repository of a registry "
        "that needs no sign-in. Without it the image has to be in the stack's registry already",
        _SOURCE_WORDS,
        example="ghcr.io/example/mlflow-platform",
        default=None,
    )
    commit: str | None = text(
        "The commit that the image is built from", r"[0-9a-f]{40}", "40 hexadecimal digits", default=None
    )
    mlflow: str | None = text(
        "The version of MLflow in the image", r"[0-9]+\.[0-9]+\.[0-9]+", "a version, as in 3.17.2", default=None
    )
    # pydantic has a method of the setting's own name.
    schema_revision: str | None = text(
        "The revision of the databases' schema that the image needs",
        r"[0-9a-f]{12}",
        "12 hexadecimal digits",
        alias="schema",
        default=None,
    )
    contract: Whole | None = bounded(
        "The version of the set of variables that the image's roles read. The program refuses an image of another one",
        1,
        9999,
        default=None,
    )

    @property
    def described(self) -> Mapping[str, object]:
        """Return what is said of the image beside its digest, None for what is not, by the keys of a stack's file."""
        return {
            "commit": self.commit,
            "mlflow": self.mlflow,
            "schema": self.schema_revision,
            "contract": self.contract,
        }


def _check_cidr(value: str) -> None:
    plan(value, CONTAINER_APPS_SUBNETS)


class NetworkSettings(Section):
    """The network's range, who may call the gateway in it, and how services reach the outside."""

    cidr: Annotated[str, checked(_check_cidr)] = described(
        "Private range of the virtual network. It cannot be changed while in use", "a private IPv4 range, /25 or larger"
    )
    client_ranges: tuple[Ipv4Range, ...] = described(
        "Ranges that may call the gateway; an empty list means the network and its peers",
        "IPv4 ranges as in 10.0.0.0/8",
        example="10.0.0.0/8",
        default=(),
    )
    client_networks: tuple[NetworkId, ...] = described(
        "Peered virtual networks of the clients. They resolve the gateway's name, and the account's with "
        "storage.clientsReachBlob. Who deploys needs the right to join them",
        "ids as in /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Network/virtualNetworks/NAME, each "
        "with another NAME",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/"
        "Microsoft.Network/virtualNetworks/vnet-hub",
        default=(),
    )
    caller_ranges: tuple[Ipv4Range, ...] = described(
        "Ranges of nodes that are let in to database and private endpoints, beside aks.existingCluster.nodeRange: "
        "during a move out of a cluster of another owner its nodes",
        "IPv4 ranges as in 10.8.0.0/22",
        example="10.8.0.0/22",
        default=(),
    )
    fixed_outbound_address: Switch = described("A NAT gateway with one public address", default=False)
    internet_outbound: Switch = described(
        "Whether services may call HTTPS on the internet, as webhooks do", default=False
    )

    @property
    def clients_by_name(self) -> Mapping[str, str]:
        """Return the clients' networks by their own names."""
        return {identifier.rsplit("/", 1)[-1].lower(): identifier for identifier in self.client_networks}


def _check_sku(value: str) -> None:
    ServerSize(sku=value)


class DatabaseSettings(Section):
    """Size and safety of the PostgreSQL server."""

    sku: Annotated[str, checked(_check_sku)] = described(
        "Compute size. It decides how many connections the services may open", "a size as in Standard_D2ds_v5"
    )
    storage_gib: Whole = bounded(
        f"Storage at the start, one of {', '.join(map(str, STORAGE_GIB))}. It grows by itself and never shrinks",
        STORAGE_GIB[0],
        STORAGE_GIB[-1],
        unit="GiB",
        default=32,
    )
    backup_days: Whole = bounded(
        "How far back the server can be restored", BACKUP_DAYS[0], BACKUP_DAYS[-1], unit="days", default=7
    )
    high_availability: HighAvailability = described(
        "Whether a standby takes over, and from where", default=HighAvailability.NONE
    )
    geo_backup: Switch = described(
        "Backups in the paired region too. Azure fixes it when the server is created", default=False
    )

    @property
    def size(self) -> ServerSize:
        """Return the component's size. Raises ValueError for a combination that Azure does not have."""
        return ServerSize(
            sku=self.sku,
            storage_gib=self.storage_gib,
            backup_days=self.backup_days,
            high_availability=self.high_availability,
            geo_backup=self.geo_backup,
        )


class StorageSettings(Section):
    """Copies of the artifacts, what becomes of old ones, and the way of large ones."""

    redundancy: Redundancy = described("Where the copies of an artifact are")
    soft_delete_days: Whole = bounded("How long a deleted artifact can be restored", 1, 365, unit="days", default=14)
    clients_reach_blob: Switch = described(
        "Whether clients send large artifacts to the account themselves. Those of network.clientRanges are let in to "
        "its private endpoint",
        default=False,
    )
    cool_after_days: Whole = bounded(
        "Days since the last write until an artifact goes to the cool tier", 1, 36500, unit="days", default=90
    )
    cold_after_days: Whole = bounded(
        "Days since the last write until an artifact goes to the cold tier", 1, 36500, unit="days", default=365
    )
    old_versions_after_days: Whole = bounded(
        "Days until an overwritten or deleted content is removed", 1, 36500, unit="days", default=90
    )

    @property
    def lifecycle(self) -> Lifecycle:
        """Return the component's rules. Raises ValueError for tiers in the wrong order."""
        return Lifecycle(
            cool_after=self.cool_after_days,
            cold_after=self.cold_after_days,
            old_versions_after=self.old_versions_after_days,
        )


class MonitoringSettings(Section):
    """How long logs are kept, who hears of alerts, and what a month may cost."""

    emails: tuple[Email, ...] = described(
        "Who hears of alerts", "addresses as in oncall@example.com", example="oncall@example.com", default=()
    )
    retention_days: Whole = bounded("How long logs are kept", 30, 730, unit="days", default=30)
    metrics_seconds: Whole = bounded(
        _METRICS.meaning, _METRICS.least, _METRICS.most, unit=_METRICS.unit, default=Limits.metrics_seconds
    )
    monthly_budget: Whole | None = bounded(
        "What a month may cost, in the billing currency, from the month of the first up on. It needs emails",
        1,
        10_000_000,
        default=None,
    )


class GithubSettings(Section):
    """The repository whose workflows sign in without a secret, and the environments in which they run."""

    repository: str = described("The repository", "owner/name, as GitHub shows it", example="example/mlflow-platform")
    deploy_environment: str = described("Environment whose workflows deploy", "a name", otherwise="the stack's name")
    preview_environment: str = described("Environment whose workflows only read", "a name", otherwise="STACK-preview")


class AzureDefaults(Section):
    """The Azure settings that a profile decides and a stack's file may change."""

    network: NetworkSettings
    database: DatabaseSettings
    storage: StorageSettings
    monitoring: MonitoringSettings = MonitoringSettings()
    aks: AksSettings = AksSettings()
    protect: Switch = described(
        "Locks on data and protection from deletion. Set it to false, and run an up, before a destroy"
    )
    purge_protection: Switch = described(
        "A deleted Key Vault and its name stay for 90 days, whatever anybody does; Azure never takes it back. "
        "protect needs it"
    )
    zone_redundant: Switch = described("Spread over availability zones; false in regions without zones")
    private_registry: Switch = described("A registry that only the network reaches (Premium tier)")
    soak_hours: Whole = bounded(
        "How long a release runs in the stack without an alert before it is promoted to the next one",
        0,
        720,
        unit="hours",
        default=24,
    )


class DomainSettings(Section):
    """A name of one's own for the gateway, in place of the environment's."""

    host: str | None = text(
        "The gateway's name. Its records of DNS are there before it is set: a TXT record asuid.HOST, and a CNAME to "
        "the gateway's name in the environment",
        r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
        "a name in lower case, as in mlflow.example.com",
        example="mlflow.example.com",
        default=None,
    )
    certificate: str | None = text(
        "The certificate of the name, managed by Azure or from a Key Vault. Once it is set the gateway is called by "
        "this name alone",
        r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.App/managedEnvironments/[^/]+"
        r"/(?:managedCertificates|certificates)/[^/]+",
        "the id of a certificate of the stack's environment, as in /subscriptions/ID/resourceGroups/GROUP/providers/"
        "Microsoft.App/managedEnvironments/NAME/managedCertificates/NAME",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-mlflow-dev/providers/"
        "Microsoft.App/managedEnvironments/cae-mlflow-dev/managedCertificates/mlflow",
        default=None,
    )


class AzureSettings(AzureDefaults):
    """Everything about a stack's Azure resources. `github` is None if no workflow deploys the stack."""

    location: str = text("The region", r"[a-z][a-z0-9]+", "a region, as in westeurope", example="westeurope")
    tags: TagSettings
    image: ImageSettings
    exposure: Exposure = described(
        "From where the gateway is called: internal (the virtual network and its peers) or public (the internet; "
        "refused with access.mode none)",
        alias="ingress",
        default=Exposure.INTERNAL,
    )
    domain: DomainSettings = DomainSettings()
    github: GithubSettings | None = None
    waivers: Mapping[str, Mapping[str, str]] = described(
        "Guardrails that the stack may break for a time, each by its id",
        "ids of guardrails, each an object with owner, reason and expires, a day as in 2027-02-28",
        default={},
    )
    bootstrapped_by: str | None = text(
        "The bootstrap stack that has made the stack's resource group and identities; without it an up makes them, "
        "which takes an Owner",
        r"[a-z][a-z0-9-]{0,19}",
        "the name of a bootstrap stack of the same subscription, as in bootstrap",
        example="bootstrap",
        default=None,
    )
    name_generation: str = text(
        "Changes the globally unique names, to recreate a stack whose old names are still taken. In a living stack it "
        "replaces vault, storage and database",
        r"[a-z0-9]{0,8}",
        "up to 8 lower-case letters and digits",
        default="",
    )
