"""What a stack's file says and no resource shows: which subscription it is, and settings without an effect on Azure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.addresses import SUBSCRIPTION
from delivery.preview.differences import at
from delivery.preview.plan import Plan
from delivery.preview.reasons import Found, Reason, Row, Subject, Verdict
from delivery.preview.text import Code, Strong
from infra.settings.fields import AUTO
from infra.settings.profiles import PROFILES, ProfileName

_OF_PROVIDER: Final = "azure-native:subscriptionId"
_ID: Final = re.compile(r"/subscriptions/([^/]+)/", re.IGNORECASE)
_SERVER: Final = "dbforpostgresql:Server"


def subscription(plan: Plan) -> Iterator[Found]:
    """Another subscription than the one where the stack is: the engine would look for nothing there, and create."""
    wanted = plan.config.get(_OF_PROVIDER, "")
    ids = (found[1] for step in plan.steps if step.before and (found := _ID.match(step.before.id)))
    # A role may be on something of another subscription: most of a stack is in its own.
    there = Counter(one.lower() for one in ids if one != SUBSCRIPTION).most_common(1)
    was = there[0][0] if there else plan.config_before.get(_OF_PROVIDER, "")
    if wanted and was and wanted.lower() != was.lower():
        yield Reason(
            subject=Subject.REFUSAL,
            verdict=Verdict.REFUSED,
            headline="another subscription",
            phrase=[
                *(
                    Strong("Another subscription."),
                    " ",
                    Code(_OF_PROVIDER),
                    " is ",
                    Code(wanted),
                    ", and the stack is in ",
                ),
                *(Code(was), ". What is there would stay, and what is new would be made in the other one."),
            ],
            remedy=f"pulumi config set {_OF_PROVIDER} {was} -s {plan.stack}",
        )


def soak_time(plan: Plan) -> Iterator[Found]:
    """How long a release runs here before `promote` takes it further."""
    was, now = (_soak_hours(config) for config in (plan.config_before, plan.config))
    if was is None or now is None or was == now:
        return
    yield Row(subject=Subject.PROTECTION, what="hours before a promotion", now=[f"{was}"], after=[f"{now}"])
    if now < was:
        yield Reason(
            subject=Subject.PROTECTION,
            verdict=Verdict.DECIDE,
            headline="shorter soak time",
            phrase=[Strong("Less protection: "), f"a release is promoted after {now} hours here, until now {was}."],
        )


def _soak_hours(config: Mapping[str, str]) -> int | None:
    given, profile = own_value(config, "soakHours"), own_value(config, "profile")
    try:
        defaults = PROFILES[ProfileName(profile)].azure
        return int(given) if given not in ("", AUTO) else defaults.soak_hours if defaults else None
    except ValueError:
        return None


def disk(plan: Plan) -> Iterator[Found]:
    """A larger disk in the file than the server has: a server that is there grows by itself alone."""
    try:
        wanted = int(json.loads(own_value(plan.config, "database") or "{}").get("storageGib", 0))
    except (ValueError, TypeError, AttributeError):
        return
    for step in plan.steps:
        size = at(step.new, "storage.storageSizeGB", None) if step.kind == _SERVER and step.before else None
        if not isinstance(size, int | float) or size >= wanted:
            continue
        yield Reason(
            subject=Subject.WAY_BACK,
            verdict=Verdict.DECIDE,
            headline="a setting without effect",
            phrase=[
                *(
                    Strong("Not applied: "),
                    Code("database.storageGib"),
                    f" {wanted}. A server that is there keeps its ",
                ),
                f"disk, {size:g} GiB as of the last refresh, which grows by itself as it fills. A disk never shrinks.",
            ],
            remedy=f"{_enlarge(step.new, wanted)} && pulumi refresh --yes -s {plan.stack}",
            urn=step.urn,
        )


def _enlarge(server: Mapping[str, Any], gib: int) -> str:
    place = f"-n {server.get('serverName')} -g {server.get('resourceGroupName')}"
    return f"az postgres flexible-server update {place} --storage-size {gib}"


def own_value(config: Mapping[str, str], key: str) -> str:
    """A value of the program's own namespace, empty where there is none."""
    return next((value for name, value in config.items() if name.endswith(f":{key}")), "")
