"""Reads the Azure part of a stack's configuration. The components' own checks run here too, so that nothing that they
would refuse comes up only after something was made."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.azure.artifact_store import Redundancy
from components.azure.identity import FederatedSubject
from components.azure.network_plan import plan
from components.azure.postgres_size import STORAGE_GIB, HighAvailability, max_connections
from components.mlflow.limits import LIMITS, Limits
from infra.naming import Names
from infra.settings.azure import (
    SUBNETS,
    AccessControl,
    AzureProfile,
    AzureSettings,
    DatabaseSettings,
    DataClassification,
    Exposure,
    GithubSettings,
    ImageSettings,
    MonitoringSettings,
    NetworkSettings,
    StorageSettings,
    TagSettings,
)
from infra.settings.reader import AUTO, Reader

_NO_IMAGE = "none"
_OBJECTS = ("tags", "image", "network", "database", "storage", "monitoring", "github")
DEFAULTS: Mapping[str, str] = {
    "location": "",
    "ingress": "internal",
    "access": "none",
    "protect": AUTO,
    "purgeProtection": AUTO,
    "zoneRedundant": AUTO,
    "privateRegistry": AUTO,
    "nameGeneration": "",
}
"""The keys with one value, as Pulumi.yaml sets them where a stack's file does not."""
KEYS = (*_OBJECTS, *DEFAULTS)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_WORD = r"[^\s<>%&\\?/][^<>%&\\?/]{0,254}"
_TAG_NAME = r"[A-Za-z][A-Za-z0-9 ._:-]{0,127}"
_FIRST_OF_MONTH = r"20\d\d-(0[1-9]|1[0-2])-01"
_GENERATION = "up to 8 lower-case letters and digits"
_RANGE = "IPv4 ranges as in 10.0.0.0/8"
_EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
RESERVED_TAGS = ("owner", "cost-center", "data-classification", "environment", "managed-by", "application", "stack")
"""The tags that the program writes."""

# Microsoft Learn, "Use tags to organize your Azure resources": private DNS zones take 15 tags, the least of all types.
_MOST_EXTRA_TAGS = 8


def read(reader: Reader, values: Mapping[str, Any], stack: str, profile: AzureProfile) -> AzureSettings:
    """The Azure settings of a stack. What is wrong is noted with the reader."""
    # Stacks whose names Azure would refuse in one of the resources' names.
    reader.built("stack", stack, Names, stack=stack, suffix="aaaaa")
    return AzureSettings(
        location=reader.text("location", _given(values, "location"), r"[a-z][a-z0-9]+", "a region, as in westeurope"),
        tags=_tags(reader, values.get("tags", {})),
        image=_image(reader, values.get("image", {})),
        exposure=reader.choice("ingress", _given(values, "ingress"), Exposure) or Exposure.INTERNAL,
        access=reader.choice("access", _given(values, "access"), AccessControl) or AccessControl.NONE,
        network=_network(reader, values.get("network", {}), profile.network),
        database=_database(reader, values.get("database", {}), profile.database),
        storage=_storage(reader, values.get("storage", {}), profile.storage),
        monitoring=_monitoring(reader, values.get("monitoring", {}), profile.log_retention_days),
        github=_github(reader, values.get("github", {}), stack),
        protect=_switch(reader, values, "protect", profile.protect),
        purge_protection=_switch(reader, values, "purgeProtection", profile.purge_protection),
        zone_redundant=_switch(reader, values, "zoneRedundant", profile.zone_redundant),
        private_registry=_switch(reader, values, "privateRegistry", profile.private_registry),
        name_generation=reader.text(
            "nameGeneration",
            _given(values, "nameGeneration"),
            r"[a-z0-9]{0,8}",
            _GENERATION,
        ),
    )


def _given(values: Mapping[str, Any], key: str) -> Any:
    return values.get(key, DEFAULTS[key])


def _switch(reader: Reader, values: Mapping[str, Any], key: str, default: bool) -> bool:
    return reader.boolean(key, _given(values, key), default)


def _tags(reader: Reader, value: object) -> TagSettings:
    table = reader.table("tags", value, ("owner", "costCenter", "dataClassification", "extra"))
    extra = table.get("extra", {})
    if not isinstance(extra, Mapping) or len(extra) > _MOST_EXTRA_TAGS:
        reader.problem("tags.extra", extra, f"an object of at most {_MOST_EXTRA_TAGS} names and values", "shorten it")
        extra = {}
    for name in extra.keys() & {*RESERVED_TAGS}:
        reader.problem(f"tags.extra.{name}", extra[name], "names that the program does not set itself", "remove it")
    for name, content in extra.items():
        reader.text(f"tags.extra: {name}", name, _TAG_NAME, "a letter, then letters, digits, spaces and ._:-")
        reader.text(f"tags.extra.{name}", content, _WORD, "1 to 255 characters without <>%&\\?/")
    classification = reader.choice("tags.dataClassification", table.get("dataClassification"), DataClassification)
    return TagSettings(
        owner=reader.text("tags.owner", table.get("owner"), _WORD, "a team or an address, 1 to 255 characters"),
        cost_center=reader.text("tags.costCenter", table.get("costCenter"), _WORD, "who pays, 1 to 255 characters"),
        data_classification=classification or DataClassification.RESTRICTED,
        extra={str(name): str(content) for name, content in extra.items()},
    )


def _image(reader: Reader, value: object) -> ImageSettings:
    table = reader.table("image", value, ("repository", "digest"))
    digest = reader.text(
        "image.digest",
        table.get("digest"),
        f"{_NO_IMAGE}|{_DIGEST.pattern}",
        "sha256: and 64 hexadecimal digits, no tag; or none for the first `up`, before there is an image",
    )
    repository = reader.text(
        "image.repository", table.get("repository", "mlflow-platform"), r"[a-z0-9]+([._/-][a-z0-9]+)*", "a path"
    )
    return ImageSettings(repository=repository, digest=digest if _DIGEST.fullmatch(digest) else None)


def _network(reader: Reader, value: object, default: NetworkSettings) -> NetworkSettings:
    table = reader.table("network", value, ("cidr", "clientRanges", "fixedOutboundAddress", "internetOutbound"))
    cidr = str(table.get("cidr", default.cidr))
    reader.built("network.cidr", cidr, plan, cidr, SUBNETS)
    ranges = reader.texts("network.clientRanges", table.get("clientRanges", []), r"[0-9./]+", _RANGE)
    for given in ranges:
        reader.built("network.clientRanges", given, ipaddress.IPv4Network, given)
    return NetworkSettings(
        cidr=cidr,
        client_ranges=ranges,
        fixed_outbound_address=reader.boolean(
            "network.fixedOutboundAddress", table.get("fixedOutboundAddress", AUTO), default.fixed_outbound_address
        ),
        internet_outbound=reader.boolean(
            "network.internetOutbound", table.get("internetOutbound", AUTO), default.internet_outbound
        ),
    )


def _database(reader: Reader, value: object, default: DatabaseSettings) -> DatabaseSettings:
    table = reader.table("database", value, ("sku", "storageGib", "backupDays", "highAvailability", "geoBackup"))
    kind = reader.choice(
        "database.highAvailability", table.get("highAvailability", default.high_availability), HighAvailability
    )
    found = DatabaseSettings(
        sku=str(table.get("sku", default.sku)),
        storage_gib=reader.integer(
            "database.storageGib", table.get("storageGib", default.storage_gib), STORAGE_GIB[0], STORAGE_GIB[-1]
        ),
        backup_days=reader.integer("database.backupDays", table.get("backupDays", default.backup_days), 7, 35),
        high_availability=kind or default.high_availability,
        geo_backup=reader.boolean("database.geoBackup", table.get("geoBackup", AUTO), default.geo_backup),
    )
    # The component knows which sizes and combinations there are; here they are refused with all other problems.
    if reader.built("database", dict(table), lambda: found.size) is not None:
        # Of a family that exists, and yet no size whose connections are known: alerts and the budget need them.
        reader.built("database.sku", found.sku, max_connections, found.sku)
    return found


def _storage(reader: Reader, value: object, default: StorageSettings) -> StorageSettings:
    ages = ("coolAfterDays", "coldAfterDays", "oldVersionsAfterDays")
    table = reader.table("storage", value, ("redundancy", "softDeleteDays", "clientsReachBlob", *ages))
    kept = default.lifecycle
    given = {key: reader.integer(f"storage.{key}", table[key], 1, 36500) for key in ages if key in table}
    lifecycle = reader.built(
        "storage",
        given,
        replace,
        kept,
        cool_after=given.get("coolAfterDays", kept.cool_after),
        cold_after=given.get("coldAfterDays", kept.cold_after),
        old_versions_after=given.get("oldVersionsAfterDays", kept.old_versions_after),
    )
    redundancy = reader.choice("storage.redundancy", table.get("redundancy", default.redundancy), Redundancy)
    return StorageSettings(
        redundancy=redundancy or default.redundancy,
        soft_delete_days=reader.integer(
            "storage.softDeleteDays", table.get("softDeleteDays", default.soft_delete_days), 1, 365
        ),
        clients_reach_blob=reader.boolean(
            "storage.clientsReachBlob", table.get("clientsReachBlob", AUTO), default.clients_reach_blob
        ),
        lifecycle=lifecycle or kept,
    )


def _monitoring(reader: Reader, value: object, retention_days: int) -> MonitoringSettings:
    table = reader.table(
        "monitoring", value, ("emails", "retentionDays", "metricsSeconds", "monthlyBudget", "budgetStart")
    )
    budget, start = table.get("monthlyBudget"), ""
    emails = reader.texts("monitoring.emails", table.get("emails", []), _EMAIL, "addresses as in oncall@example.com")
    if budget is not None:
        budget = reader.integer("monitoring.monthlyBudget", budget, 1, 10_000_000)
        start = reader.text(
            "monitoring.budgetStart",
            str(table.get("budgetStart")),
            _FIRST_OF_MONTH,
            "a month's first day, as in 2026-01-01",
        )
        if not emails:
            reader.problem("monitoring.emails", [], "at least one address with a monthlyBudget", "say who is told")
    return MonitoringSettings(
        retention_days=reader.integer("monitoring.retentionDays", table.get("retentionDays", retention_days), 30, 730),
        emails=emails,
        monthly_budget=budget,
        budget_start=start,
    )


def metrics_seconds(reader: Reader, values: Mapping[str, Any]) -> int:
    """Seconds between two lines of a replica's metrics."""
    table = values.get("monitoring", {})
    given = (
        table.get("metricsSeconds", Limits.metrics_seconds) if isinstance(table, Mapping) else Limits.metrics_seconds
    )
    limit = LIMITS["metrics_seconds"]
    return reader.integer("monitoring.metricsSeconds", given, limit.least, limit.most)


def _github(reader: Reader, value: object, stack: str) -> GithubSettings | None:
    table = reader.table("github", value, ("repository", "deployEnvironment", "previewEnvironment"))
    if not table:
        return None
    found = GithubSettings(
        repository=str(table.get("repository", "")),
        deploy_environment=str(table.get("deployEnvironment", stack)),
        preview_environment=str(table.get("previewEnvironment", f"{stack}-preview")),
    )
    for environment in (found.deploy_environment, found.preview_environment):
        subject = reader.built(
            "github", dict(table), FederatedSubject.github_environment, found.repository, environment
        )
        if subject is None:
            break
    if found.deploy_environment == found.preview_environment:
        reader.problem(
            "github.previewEnvironment",
            found.preview_environment,
            "another environment than deployEnvironment, since a preview must not hold the rights of a deployment",
            reader.remedy("github.previewEnvironment"),
        )
    return found
