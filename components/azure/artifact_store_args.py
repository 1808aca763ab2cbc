"""What an artifact store can be made of, and what is refused. No resource is made here."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}\Z")
_CONTAINER_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
_ORIGIN = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?\Z")


class Redundancy(enum.StrEnum):
    """Where the copies of a blob are."""

    LOCAL = "local"
    ZONE = "zone"
    GEO_ZONE = "geo-zone"


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """What becomes of ageing artifacts, in days; None switches a tier off.

    `cool_after` and `cold_after` count from the last write of an artifact; both tiers answer at once, for less storage
    and more access cost. The archive tier is not offered: reading from it takes hours, and callers would get errors.
    No current artifact is ever deleted by age. `old_versions_after` counts from when an overwritten or deleted
    content was written, not from its replacement, and what it removes stays in soft delete. Snapshots go likewise.

    Aborted uploads need no rule, and none could be written: a policy sees only committed blobs, while Azure drops
    blocks that were never committed by itself, a week after the last of them.
    """

    cool_after: int | None = 90
    cold_after: int | None = 365
    old_versions_after: int = 90

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        for name in ("cool_after", "cold_after", "old_versions_after"):
            days = getattr(self, name)
            if days is not None and days < 1:
                yield f"Lifecycle.{name}: {days} days; at least 1 is needed. Raise it."
        if self.cool_after is not None and self.cold_after is not None and self.cold_after <= self.cool_after:
            yield (
                f"Lifecycle.cold_after: {self.cold_after} days is not after cool_after, {self.cool_after}; nothing "
                "would be in the cool tier. Raise it, or set cool_after=None."
            )


@dataclass(frozen=True, kw_only=True)
class ArtifactStoreArgs:
    """What makes an artifact store.

    `protect` (the lock), `redundancy` and `lifecycle` are plain, and so is the number of `subnet_ids`: the subnets with
    the service endpoint Microsoft.Storage that may reach the account; without any, only private endpoints reach it.
    `public_origin` is the platform's own web origin, such as https://shop.example.com, whose pages may read blobs;
    None, a plain decision, lets no page do so, and an Output is not looked into. `workspace_id` is where logs and
    metrics go. Soft delete is in days. Raises ValueError with every problem at once.
    """

    account_name: pulumi.Input[str]
    resource_group_name: pulumi.Input[str]
    location: pulumi.Input[str]
    tags: Mapping[str, str]
    workspace_id: pulumi.Input[str]
    protect: bool
    container_name: str = "artifacts"
    redundancy: Redundancy = Redundancy.LOCAL
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    blob_soft_delete_days: int = 14
    container_soft_delete_days: int = 14
    public_origin: pulumi.Input[str] | None = None
    subnet_ids: Sequence[pulumi.Input[str]] = ()

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        if isinstance(self.account_name, str) and not _ACCOUNT_NAME.match(self.account_name):
            yield (
                f"ArtifactStoreArgs.account_name: {self.account_name!r}; Azure takes 3 to 24 lower-case letters and "
                "digits. Choose such a name."
            )
        if not _CONTAINER_NAME.match(self.container_name):
            yield (
                f"ArtifactStoreArgs.container_name: {self.container_name!r}; Azure takes 3 to 63 lower-case letters, "
                "digits and single hyphens, no hyphen first or last. Choose such a name."
            )
        for name in ("blob_soft_delete_days", "container_soft_delete_days"):
            if not 1 <= getattr(self, name) <= 365:
                yield f"ArtifactStoreArgs.{name}: {getattr(self, name)}; Azure keeps 1 to 365 days. Choose in between."
        if isinstance(self.public_origin, str) and not _ORIGIN.match(self.public_origin):
            yield (
                f"ArtifactStoreArgs.public_origin: {self.public_origin!r}; one https origin is allowed, without path, "
                "wildcard or upper case. Give it as https://shop.example.com."
            )
