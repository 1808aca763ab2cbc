"""What stops answering while the update runs, and what cannot simply be set back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.preview.causes import causes
from delivery.preview.differences import ABSENT
from delivery.preview.differences import of as differences
from delivery.preview.plan import Op, Plan, Step
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Part, Strong, value

_SERVER = "dbforpostgresql:Server"
_LIFE_CYCLE: Final = "storage:ManagementPolicy"
_AGED: Final[Mapping[str, str]] = {
    "baseBlob": "artifacts",
    "version": "old versions of artifacts",
    "snapshot": "snapshots of artifacts",
}
"""The blobs that a rule may delete by their age."""

# Learn, "Scale operations in Azure Database for PostgreSQL": a change of the size restarts the server; "High
# availability": switching a standby on or off does not.
_RESTARTS: Final[Mapping[str, str]] = {"sku.name": "its new size"}

# Learn, "Server parameters": these are static, and a change waits for a restart that nobody makes.
_STATIC: Final = frozenset({"max_connections", "shared_preload_libraries", "max_worker_processes", "wal_level"})

_CLUSTER: Final = "containerservice:ManagedCluster"
_BESIDE: Final = " Have another cluster beside it instead, by aks.generation."
_NETWORKS: Final = frozenset({"network:VirtualNetwork", "network:Subnet"})

_REPLACED: Final[Mapping[str, tuple[str, str]]] = {
    "app:ManagedEnvironment": (
        "outage, and another URL",
        "All services are away until it is made again, and the URL changes.",
    ),
    _CLUSTER: ("outage", "All services are away until it is made again."),
    "app:ContainerApp": ("outage of a service", "The service is away until it is made again."),
    "network:VirtualNetwork": ("outage", "Everything in it is away until it is made again."),
    "network:Subnet": ("outage", "Everything in it is away until it is made again."),
    "network:PrivateEndpoint": ("outage", "The services cannot reach what is behind it until it is made again."),
}


def outage(plan: Plan) -> Iterator[Found]:
    """Restarts and replacements that users feel."""
    for step in plan.of(Op.UPDATE):
        if step.kind != _SERVER:
            continue
        for difference in differences(step):
            if difference.path in _RESTARTS:
                yield _outage(
                    step,
                    "outage",
                    "The database restarts for ",
                    _RESTARTS[difference.path],
                    ". Requests that need it get 503 meanwhile.",
                )
    # What is above in the table takes what is below along.
    for kind, (headline, sentence) in _REPLACED.items():
        steps = [step for step in plan.of(Op.REPLACE) if step.kind == kind]
        if steps:
            advice = _BESIDE if kind == _CLUSTER and not _follows(steps[0], plan) else ""
            yield _outage(steps[0], headline, Code(steps[0].name), f" is replaced. {sentence}{advice}")
            return


def _follows(step: Step, plan: Plan) -> bool:
    """Whether something else is why it is replaced: another cluster would not stop that."""
    roots = {cause.step.urn for cause in causes(plan)}
    return step.urn not in roots or any(one.kind in _NETWORKS for one in plan.of(Op.REPLACE))


def static_parameters(plan: Plan) -> Iterator[Found]:
    """Parameters that take effect with a restart that the update does not make."""
    for step in plan.of(Op.UPDATE, Op.CREATE):
        name = str(step.new.get("configurationName", ""))
        if step.kind == "dbforpostgresql:Configuration" and name in _STATIC and not plan.empty_before:
            yield Reason(
                subject=Subject.WAY_BACK,
                verdict=Verdict.DECIDE,
                headline="needs a restart afterwards",
                phrase=[
                    "The parameter ",
                    Code(name),
                    " takes effect with a restart of the server, which the update does not make: restart the server.",
                ],
                urn=step.urn,
            )


def way_back(plan: Plan) -> Iterator[Found]:
    """Settings of the server with what is now and after, and those that lose something when they shrink."""
    for step in plan.of(Op.UPDATE):
        if step.kind != _SERVER:
            continue
        for difference in differences(step):
            if difference.path.startswith("tags"):
                continue
            yield Row(
                subject=Subject.WAY_BACK,
                what=Code(f"{step.name} {difference.path}"),
                now=[value(difference.before)],
                after=[value(difference.after)],
            )
            if difference.path == "backup.backupRetentionDays" and _lower(difference.before, difference.after):
                yield _no_way_back(
                    step, "deletes older backups", "Backups older than ", value(difference.after), " days are deleted."
                )
            if difference.path == "storage.storageSizeGB" and _lower(difference.after, difference.before):
                yield _no_way_back(
                    step, "larger disk for good", "A disk only grows: it stays at ", value(difference.after), " GiB."
                )


def deletion_by_age(plan: Plan) -> Iterator[Found]:
    """What Azure deletes by itself sooner than before, by the rules of an account's life cycle."""
    for step in plan.of(Op.UPDATE, Op.REPLACE):
        if step.kind != _LIFE_CYCLE:
            continue
        before, after = _deleted_after(step.old), _deleted_after(step.new)
        sooner = {what: days for what, days in after.items() if days < before.get(what, math.inf)}
        for what, days in sooner.items():
            earlier = before.get(what)
            yield Row(
                subject=Subject.WAY_BACK,
                what=f"{_AGED[what]} are deleted",
                now=["never" if earlier is None else f"after {earlier:g} days"],
                after=[f"after {days:g} days"],
            )
        for days in sorted({*sooner.values()}):
            kinds = ", ".join(_AGED[what] for what, one in sooner.items() if one == days)
            sentence = f"{kinds[:1].upper()}{kinds[1:]} of more than {days:g} days are deleted."
            yield _no_way_back(step, f"deletes {kinds}", sentence)


def _deleted_after(inputs: Mapping[str, Any]) -> dict[str, float]:
    """The least days after which the rules delete a kind of blobs."""
    found: dict[str, float] = {}
    rules = (inputs.get("policy") or {}).get("rules") or ()
    for rule in (one for one in rules if isinstance(one, Mapping) and one.get("enabled")):
        actions = (rule.get("definition") or {}).get("actions") or {}
        for what in _AGED:
            for days in ((actions.get(what) or {}).get("delete") or {}).values():
                found[what] = min(float(days), found.get(what, math.inf))
    return found


def _no_way_back(step: Step, headline: str, *phrase: Part) -> Reason:
    return Reason(
        subject=Subject.WAY_BACK,
        verdict=Verdict.DECIDE,
        headline=headline,
        phrase=[Strong("No way back."), " ", *phrase],
        urn=step.urn,
    )


def _lower(before: Any, after: Any) -> bool:
    """Whether a number becomes smaller."""
    if before is ABSENT or after is ABSENT:
        return False
    try:
        return float(after) < float(before)
    except (TypeError, ValueError):
        return False


def _outage(step: Step, headline: str, *phrase: Part) -> Reason:
    return Reason(
        subject=Subject.OUTAGE,
        verdict=Verdict.DECIDE,
        headline=headline,
        phrase=[Strong("Outage."), " ", *phrase],
        urn=step.urn,
    )
