"""Protection that becomes less: against deletion, against readers, against loss of what recovers data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from delivery.preview.differences import at
from delivery.preview.plan import Op, Plan
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Phrase, Strong, count, listed, value
from infra.settings.azure import DataClassification

LOCK = "authorization:ManagementLockByScope"
_ACTION_GROUP: Final = "monitor:ActionGroup"

# By type and input: what the value has to be, or "no less" for numbers. Sources: Azure Verified Modules' defaults of
# each type, CIS Microsoft Azure Foundations Benchmark.
_SAFE: Final[Mapping[tuple[str, str], Any]] = {
    ("app:ManagedEnvironment", "peerTrafficConfiguration.encryption.enabled"): True,
    ("app:ManagedEnvironment", "vnetConfiguration.internal"): True,
    ("containerregistry:Registry", "adminUserEnabled"): False,
    ("containerregistry:Registry", "anonymousPullEnabled"): False,
    ("containerregistry:Registry", "publicNetworkAccess"): "Disabled",
    ("dbforpostgresql:Server", "authConfig.passwordAuth"): "Disabled",
    ("dbforpostgresql:Server", "network.publicNetworkAccess"): "Disabled",
    ("keyvault:Vault", "properties.enablePurgeProtection"): True,
    ("keyvault:Vault", "properties.enableRbacAuthorization"): True,
    ("keyvault:Vault", "properties.networkAcls.defaultAction"): "Deny",
    ("keyvault:Vault", "properties.publicNetworkAccess"): "Disabled",
    ("monitor:MetricAlert", "enabled"): True,
    ("monitor:ScheduledQueryRule", "enabled"): True,
    ("operationalinsights:Workspace", "features.disableLocalAuth"): True,
    ("storage:BlobServiceProperties", "deleteRetentionPolicy.enabled"): True,
    ("storage:BlobServiceProperties", "isVersioningEnabled"): True,
    ("storage:StorageAccount", "allowBlobPublicAccess"): False,
    ("storage:StorageAccount", "allowCrossTenantReplication"): False,
    ("storage:StorageAccount", "allowSharedKeyAccess"): False,
    ("storage:StorageAccount", "enableHttpsTrafficOnly"): True,
    ("storage:StorageAccount", "minimumTlsVersion"): "TLS1_2",
    ("storage:StorageAccount", "networkRuleSet.defaultAction"): "Deny",
    ("storage:StorageAccount", "publicNetworkAccess"): "Disabled",
}
_NO_LESS: Final = frozenset(
    {
        ("keyvault:Vault", "properties.softDeleteRetentionInDays"),
        ("operationalinsights:Workspace", "retentionInDays"),
        ("storage:BlobServiceProperties", "containerDeleteRetentionPolicy.days"),
        ("storage:BlobServiceProperties", "deleteRetentionPolicy.days"),
    }
)

# From the weakest to the strongest. Sources on Microsoft Learn: "Azure Storage redundancy", "High availability in Azure
# Database for PostgreSQL", "Backup and restore in Azure Database for PostgreSQL".
_FROM_WEAKEST: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("dbforpostgresql:Server", "backup.geoRedundantBackup"): ("Disabled", "Enabled"),
    ("dbforpostgresql:Server", "highAvailability.mode"): ("Disabled", "SameZone", "ZoneRedundant"),
    ("storage:StorageAccount", "sku.name"): ("Standard_LRS", "Standard_ZRS", "Standard_GZRS"),
}
_CLASS: Final = "tags.data-classification"
_CLASSES: Final = tuple(DataClassification)
"""From the least confidential on."""


def protection(plan: Plan) -> Iterator[Found]:
    """What the engine or a lock no longer protects, and settings that become weaker than they are."""
    unlocked = [step for step in plan.of(Op.DELETE) if step.kind == LOCK]
    unprotected = [step for step in plan.steps if step.loses_protection]
    if unlocked or unprotected:
        yield Reason(
            subject=Subject.PROTECTION,
            verdict=Verdict.DECIDE,
            headline="takes protection from deletion away",
            phrase=[
                Strong("Protection from deletion ends"),
                *_of(" for ", [step.name for step in unprotected]),
                *_of("; locks that go: " if unprotected else ": locks that go: ", [step.name for step in unlocked]),
                ".",
            ],
            urn=(unlocked or unprotected)[0].urn,
        )
        yield Row(
            subject=Subject.PROTECTION,
            what="protected from deletion",
            now=[count(sum(step.protected for step in plan.steps), "resource")],
            after=[count(sum(bool(step.after and step.after.protect) for step in plan.steps), "resource")],
        )
    for step in plan.of(Op.UPDATE, Op.REPLACE):
        for (kind, path), safe in _SAFE.items():
            was, now = at(step.old, path), at(step.new, path)
            if step.kind == kind and was == safe and now != safe:
                yield from _weaker(step.name, path, was, now, step.urn)
        for kind, path in sorted(_NO_LESS):
            was, now = at(step.old, path), at(step.new, path)
            if step.kind == kind and _number(now) < _number(was):
                yield from _weaker(step.name, path, was, now, step.urn)
        for (kind, path), order in _FROM_WEAKEST.items():
            was, now = at(step.old, path), at(step.new, path)
            if step.kind == kind and was in order and now in order and order.index(now) < order.index(was):
                yield from _weaker(step.name, path, was, now, step.urn)


def alerts(plan: Plan) -> Iterator[Found]:
    """Who hears of alerts, where that changes: whoever is taken out is a decision."""
    for step in plan.of(Op.UPDATE, Op.REPLACE, Op.DELETE):
        if step.kind != _ACTION_GROUP:
            continue
        was, now = (_addresses(inputs) for inputs in (step.old, step.new))
        if was == now:
            continue
        yield Row(
            subject=Subject.PROTECTION,
            what="alerts reach",
            now=listed(was) or ["nobody"],
            after=listed(now) or ["nobody"],
        )
        if gone := sorted({*was} - {*now}):
            yield Reason(
                subject=Subject.PROTECTION,
                verdict=Verdict.DECIDE,
                headline="alerts reach others" if now else "alerts reach nobody",
                phrase=[
                    *(Strong("Alerts no longer reach "), *listed(gone), ". From now on they reach "),
                    *(listed(now) or ["nobody"]),
                    ".",
                ],
                urn=step.urn,
            )


def classification(plan: Plan) -> Iterator[Found]:
    """Data that is called less confidential: whoever handles it goes by the tag."""
    for step in plan.of(Op.UPDATE):
        was, now = at(step.old, _CLASS), at(step.new, _CLASS)
        if was in _CLASSES and now in _CLASSES and _CLASSES.index(now) < _CLASSES.index(was):
            yield from _weaker("tag", _CLASS.rpartition(".")[2], was, now, step.urn)
            return


def _addresses(inputs: Mapping[str, Any]) -> list[str]:
    receivers = (one for one in inputs.get("emailReceivers") or () if isinstance(one, Mapping))
    return sorted(str(one.get("emailAddress")) for one in receivers)


def _of(words: str, names: list[str]) -> Phrase:
    return [words, *listed(names, most=10)] if names else []


def _number(of: Any) -> float:
    return float(of) if isinstance(of, int | float) else 0.0


def _weaker(name: str, path: str, was: Any, now: Any, urn: str) -> Iterator[Found]:
    yield Reason(
        subject=Subject.PROTECTION,
        verdict=Verdict.DECIDE,
        headline="reduces protection",
        phrase=[Strong("Less protection: "), Code(f"{name} {path}"), " ", value(was), " → ", value(now), "."],
        urn=urn,
    )
    yield Row(subject=Subject.PROTECTION, what=Code(f"{name} {path}"), now=[value(was)], after=[value(now)])
