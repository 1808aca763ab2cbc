"""Which settings travel with a release, by `--with KEY`, and why the others stay where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from components.mlflow.roles import SERVICES
from delivery.preview.differences import at
from infra.settings.fields import keys
from infra.settings.model import KEYS, LimitSettings

TRAVEL: Final = (
    *(f"limits.{key}" for key in keys(LimitSettings)),
    *(f"{role}.concurrency" for role in SERVICES),
    "monitoring.metricsSeconds",
    "storage.clientsReachBlob",
    "storage.coolAfterDays",
    "storage.coldAfterDays",
    "storage.oldVersionsAfterDays",
)
"""What is tried in one stack to hold in the next one too."""

_PROTECTION: Final = "each stack is protected as its profile says"
STAY: Final[Mapping[str, str]] = {
    "profile": "it is what makes the stack another one",
    "compute": "it is what makes the stack another one",
    **{role.value: "its size is for the load of the stack" for role in SERVICES},
    "local": "it is a machine's own",
    "location": "the region cannot change while the stack has data",
    "tags": "owner, cost center and classification are the stack's own",
    "image": "the release travels without being named",
    "ingress": "who reaches the stack is decided for the stack",
    "access": "who reaches the stack is decided for the stack",
    "teams": "who shares the stack is decided for the stack",
    "shares": "who shares the stack is decided for the stack",
    "domain": "the gateway's name is the stack's own",
    "quotas": "who shares the stack is decided for the stack",
    "network": "ranges and peers are the stack's own",
    "database": "its size is for the load of the stack",
    "storage": "copies and days of restore are the stack's own",
    "monitoring": "mail, budget and days of logs are the stack's own",
    "aks": "the cluster, its size and its name are the stack's own",
    "github": "who deploys is decided for the stack",
    "protect": _PROTECTION,
    "purgeProtection": _PROTECTION,
    "zoneRedundant": _PROTECTION,
    "privateRegistry": _PROTECTION,
    "soakHours": _PROTECTION,
    "waivers": "a guardrail is waived for one stack, by whoever answers for it",
    "bootstrap": "it is what the bootstrap stack makes for the others",
    "bootstrappedBy": "it says where the stack's identities come from",
    "nameGeneration": "the names of resources are the stack's own",
}
"""By the first part of a key, why what is not in TRAVEL stays."""


class TravelError(ValueError):
    """A setting does not travel. The message has a line for each."""


def travelling(wanted: Iterable[str], values: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the values of a stack's file that travel, by their keys; `limits` means each limit in the file.

    Raises TravelError with every key that stays, that is unknown or that the file does not have.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    for key in wanted:
        named = [each for each in TRAVEL if each == key or (key == "limits" and each.startswith("limits."))]
        given = {each: value for each in named if (value := at(values, each, None)) is not None}
        found |= given
        if not named:
            problems.append(_stays(key))
        elif not given:
            problems.append(f"--with {key}: stacks/Pulumi.{stack}.yaml does not set it; expected a value to take along")
    if problems:
        raise TravelError("\n".join(problems))
    return found


def _stays(key: str) -> str:
    top = key.split(".")[0]
    why = STAY[top] if top in KEYS else "there is no such setting"
    return f"--with {key}: {why}; expected limits or one of {', '.join(TRAVEL)}"
