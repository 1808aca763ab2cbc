"""Protection that becomes less: against deletion, against readers, against loss of what recovers data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.preview.differences import at
from delivery.preview.plan import Op, Plan
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Phrase, Strong, count, listed, value

LOCK = "authorization:ManagementLockByScope"

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
